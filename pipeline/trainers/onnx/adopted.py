"""An ONNX file that was made elsewhere, as a version: checked, described, run once, and written anew."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import ExportMetadata, MetadataInvalid, OutputForm, Preprocessing, read_metadata
from pipeline.predictor.onnx_file import describe_onnx
from pipeline.trainers import AdoptedModel
from pipeline.trainers.model_refusal import Reason, refused
from pipeline.trainers.onnx.description import Described, describe
from pipeline.trainers.onnx.graph import Input, count_weights, input_of, properties_of, read_graph, write_plain
from pipeline.trainers.onnx.trial import Shape, try_model

MODEL = "model.onnx"
_SAME = 1e-3  # of the largest value: what the answers of an image may differ by, alone and in a batch
_NEARLY_ONE = 1e-3
_SHARES = 2.0  # boxes of anchors lie all over the input: in pixels they reach its far side

Tensor = NDArray[np.float32]


def adopt_onnx(folder: Path, artifacts: Path, work: Path) -> AdoptedModel:
    """`folder`: model.onnx, and the files beside it that describe it. `work`: an empty folder. Raises ModelRefused."""
    model = read_graph(folder / MODEL)
    given = input_of(model, MODEL)
    described = describe(properties_of(model), folder, MODEL)
    wanted = described.metadata.preprocessing
    shapes = _shapes(given, wanted)
    facts = {"architecture": "onnx", "parameters": count_weights(model), "described_by": described.source}
    target = artifacts / MODEL
    write_plain(model, target)
    outputs = try_model(target, shapes, work)
    form = _form(described, outputs[0], wanted)
    _require_batches(outputs, given)
    metadata = _as_read(replace(described.metadata, output=replace(described.metadata.output, form=form)))
    describe_onnx(target, metadata)
    return AdoptedModel(
        weights=MODEL,
        kind=metadata.kind,
        classes=metadata.classes,
        input_size=max(wanted.width, wanted.height),
        versions={name: version(name) for name in ("onnx", "onnxruntime")},
        facts={**facts, "output": form, "batch": "any" if given.batch is None else 1},
    )


def _as_read(metadata: ExportMetadata) -> ExportMetadata:
    """What predictions read of it later. Raises ModelRefused for what they do not accept."""
    try:
        return read_metadata(metadata.to_json())
    except MetadataInvalid as error:
        raise refused(Reason(MODEL, str(error).replace("in the export ", "of the model "))) from error


def _shapes(given: Input, wanted: Preprocessing) -> list[Shape]:
    """On which it is tried: one image, two where it takes them, and a narrow one where images are padded to a stride.

    Raises ModelRefused where the description and the input of the file differ.
    """
    fixed = [size for size in (given.height, given.width) if size is not None]
    for name, size, described in (("height", given.height, wanted.height), ("width", given.width, wanted.width)):
        if size not in (None, described):
            raise refused(Reason(MODEL, f"Its input has a {name} of {size}, and its description says {described}."))
    if wanted.stride and fixed:
        raise refused(
            Reason(MODEL, "Its input has fixed sides, and its description pads to a stride: set stride to 0.")
        )
    shapes: list[Shape] = [(1, 3, wanted.height, wanted.width)]
    if given.batch is None:
        shapes.append((2, 3, wanted.height, wanted.width))
    if wanted.stride and wanted.width > wanted.stride:
        shapes.append((1, 3, wanted.height, wanted.stride * max(1, wanted.width // wanted.stride // 2)))
    return shapes


def _form(described: Described, output: Tensor, wanted: Preprocessing) -> OutputForm:
    """The form of the output, which its shape and its values must have. Raises ModelRefused."""
    if not np.isfinite(output).all():
        raise refused(Reason(MODEL, "The predictions of the model are not finite."))
    classes = len(described.metadata.classes)
    fitting = [form for form in described.forms if _has_shape(form, output.shape, classes)]
    if not fitting:
        shape, expected = tuple(output.shape), " or ".join(_SHAPES[form] for form in described.forms)
        detail = f"It answers an image with the shape {shape}; with {classes} classes {expected} is expected."
        raise refused(Reason(MODEL, detail))
    form = "probabilities" if "probabilities" in fitting and _sums_to_one(output) else fitting[0]
    if fault := _value_fault(form, output, classes, wanted):
        raise refused(Reason(MODEL, fault))
    return form


_SHAPES: dict[OutputForm, str] = {
    "anchors": "(1, 4 + classes, N)",
    "queries": "(1, N, 4 + classes)",
    "ranked-queries": "(1, N, 6)",
    "kept-boxes": "(1, N, 6)",
    "logits": "(1, classes)",
    "probabilities": "(1, classes)",
}


def _has_shape(form: OutputForm, shape: Sequence[int], classes: int) -> bool:
    match form:
        case "anchors":
            return len(shape) == 3 and tuple(shape[:2]) == (1, 4 + classes) and shape[2] > 0
        case "queries":
            return len(shape) == 3 and (shape[0], shape[2]) == (1, 4 + classes) and shape[1] > 0
        case "kept-boxes" | "ranked-queries":
            return len(shape) == 3 and (shape[0], shape[2]) == (1, 6)
        case _:
            return tuple(shape) == (1, classes)


def _value_fault(form: OutputForm, output: Tensor, classes: int, wanted: Preprocessing) -> str | None:
    match form:
        case "logits":
            return None
        case "probabilities":
            return None if _sums_to_one(output) else "Its answers are described as probabilities, and do not sum to 1."
        case "anchors":
            scores, boxes = output[0, 4:], output[0, :4]
        case "queries":
            scores, boxes = output[0, :, 4:], output[0, :, :4] * max(wanted.width, wanted.height)
        case _:
            sides = max(wanted.width, wanted.height) if form == "ranked-queries" else 1
            scores, boxes = output[0, :, 4], output[0, :, :4] * sides
            indices = output[0, :, 5]
            if ((indices < 0) | (indices >= classes) | (indices != np.rint(indices))).any():
                return f"The classes of its boxes are not 0 to {classes - 1}."
    if scores.size and not -_NEARLY_ONE <= scores.min() <= scores.max() <= 1 + _NEARLY_ONE:
        return f"The scores of its boxes go from {scores.min():.3g} to {scores.max():.3g}; 0 to 1 is expected."
    largest = 4 * max(wanted.width, wanted.height)
    if form == "anchors" and boxes.max() <= _SHARES:
        return f"Its boxes reach {boxes.max():.3g}: shares of the input's sides, where pixels are expected."
    if boxes.size and np.abs(boxes).max() > largest:
        return f"Its boxes reach {np.abs(boxes).max():.3g} px, in an input of {wanted.width} x {wanted.height}."
    return None


def _sums_to_one(output: Tensor) -> bool:
    return bool((output >= 0).all() and np.abs(output.sum(axis=-1) - 1).max() < _NEARLY_ONE)


def _require_batches(outputs: Sequence[Tensor], given: Input) -> None:
    """Raises ModelRefused for a model that answers an image otherwise where it is not alone."""
    if given.batch is not None:
        return
    alone, together = outputs[0], outputs[1]
    same = together.shape[1:] == alone.shape[1:] and len(together) == 2
    if not same or np.abs(together[:1] - alone).max(initial=0) > _SAME * max(1.0, float(np.abs(alone).max(initial=0))):
        detail = "Of two images it answers the first one otherwise than alone: export it with a fixed batch of 1."
        raise refused(Reason(MODEL, detail))
    if not together[1].any() and alone.any():
        detail = "It answers only the first of two images: export it with a fixed batch of 1."
        raise refused(Reason(MODEL, detail))
