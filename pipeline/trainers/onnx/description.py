"""What an ONNX file from elsewhere takes and answers: read from what is written somewhere, and never guessed."""

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.predictor.metadata import KEY, SCHEMA, ExportMetadata, Output, OutputForm, Preprocessing
from pipeline.trainers.model_refusal import Reason, checked_classes, refused
from pipeline.trainers.onnx.class_files import (
    DESCRIPTION,
    LABELS_TEXT,
    PROCESSOR,
    classes_beside,
    preprocessing_beside,
    read_object,
)

MIN_SIDE, MAX_SIDE = 16, 2048  # px, of the input
MAX_PROPERTY = 1024 * 1024  # characters: the names of 10,000 classes have a quarter
_OF_ULTRALYTICS = ("task", "names", "imgsz", "stride")
_ADAPTER: TypeAdapter[ExportMetadata] = TypeAdapter(ExportMetadata)


@dataclass(frozen=True, slots=True)
class Described:
    """`source`: what said it, for model.json. `forms`: those that the output may have; its shape decides."""

    metadata: ExportMetadata
    source: str
    forms: tuple[OutputForm, ...]


def describe(properties: Mapping[str, str], folder: Path, model: str) -> Described:
    """`properties`: of the file. `folder`: with the files beside it. `model`: its name, for messages.

    Raises ModelRefused, which names what is missing.
    """
    if any(len(value) > MAX_PROPERTY for value in properties.values()):
        raise refused(Reason(model, f"A property of it has more than {MAX_PROPERTY} characters."))
    beside = classes_beside(folder)
    if KEY in properties:
        found = _of_darkroom(_loaded(properties[KEY], model), model, None)
    elif (folder / DESCRIPTION).is_file():
        found = _of_darkroom(read_object(folder / DESCRIPTION), DESCRIPTION, beside)
    elif all(name in properties for name in _OF_ULTRALYTICS):
        found = _of_ultralytics(properties, model)
    else:
        found = _of_files(folder, model, beside)
    if beside and beside[0] != found.metadata.classes:
        raise refused(Reason(beside[1], "It names other classes than the description of the model: leave one out."))
    _require_ranges(found.metadata, model)
    return found


def _of_darkroom(content: dict[str, Any], path: str, beside: tuple[tuple[str, ...], str] | None) -> Described:
    given = {"classes": list(beside[0])} if beside else {}
    whole = {**given, **content, "about": {}}
    whole.pop("schema", None)
    if content.get("schema", SCHEMA) != SCHEMA:
        raise refused(Reason(path, f"schema is {str(content['schema'])[:40]}: this service reads {SCHEMA}."))
    if missing := [each.name for each in fields(ExportMetadata) if each.name not in whole]:
        detail = f"{', '.join(missing)} missing: the description needs kind, classes, preprocessing and output."
        raise refused(Reason(path, f"{detail} Classes may also be in {LABELS_TEXT}."))
    parts = ((ExportMetadata, whole), (Preprocessing, whole["preprocessing"]), (Output, whole["output"]))
    for kind, part in parts:
        unknown = sorted(set(part) - {each.name for each in fields(kind)}) if isinstance(part, dict) else []
        if unknown:
            raise refused(Reason(path, f"{unknown[0][:60]} is no field of a description: a later version wrote it."))
    try:
        metadata = _ADAPTER.validate_python(whole)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise refused(Reason(path, f"{place}: {first['msg'][:200]}.")) from error
    checked_classes(metadata.classes, path)
    return Described(metadata, "darkroom", (metadata.output.form,))


def _of_ultralytics(properties: Mapping[str, str], path: str) -> Described:
    task = properties["task"]
    if task != "detect":
        detail = f"It is a model of ultralytics for {task[:40]!r}, and detectors are supported (detect)."
        raise refused(
            Reason(path, f"{detail} A classifier needs a ZIP with {DESCRIPTION}, which says its preprocessing.")
        )
    if (channels := properties.get("channels", "3")) != "3":
        raise refused(Reason(path, f"It takes images of {channels[:20]} channels, and 3 are expected."))
    names, sides = _literal(properties, "names", path), _literal(properties, "imgsz", path)
    stride, options = _literal(properties, "stride", path), _literal({"args": "{}", **properties}, "args", path)
    if not isinstance(names, dict) or sorted(names) != [*range(len(names))]:
        raise refused(Reason(path, "Its property names does not number the classes 0, 1, 2, ..."))
    whole = isinstance(sides, list) and len(sides) == 2 and all(_is_size(side) for side in sides)
    if not whole or not _is_size(stride) or not isinstance(options, dict):
        raise refused(Reason(path, "Its properties imgsz, stride and args are not those of an ultralytics export."))
    dynamic = bool(options.get("dynamic"))
    kept = properties.get("end2end") == "True" or bool(options.get("nms"))
    rtdetr = properties.get("head") == "RTDETRDecoder"
    form: OutputForm = "ranked-queries" if rtdetr else "kept-boxes" if kept else "anchors"
    forms: tuple[OutputForm, ...] = (form, "queries") if rtdetr else (form,)  # "queries": of earlier releases
    preprocessing = Preprocessing(
        width=sides[1],
        height=sides[0],
        fit="stretch" if rtdetr else "letterbox",  # as its predictors do it
        interpolation="linear",
        stride=stride if dynamic and not rtdetr else 0,
    )
    classes = checked_classes([names[number] for number in range(len(names))], path)
    return Described(ExportMetadata("detection", classes, preprocessing, Output(form), {}), "ultralytics", forms)


def _of_files(folder: Path, path: str, beside: tuple[tuple[str, ...], str] | None) -> Described:
    preprocessing = preprocessing_beside(folder)
    reasons = []
    if beside is None:
        detail = "Nothing names the classes. Upload a ZIP of the file together with "
        reasons.append(Reason(path, f"{detail}{LABELS_TEXT} (one name a line, in the order of the outputs)."))
    if preprocessing is None:
        detail = f"Nothing says how an image becomes its input. Add {PROCESSOR} of a classifier of transformers, or "
        reasons.append(Reason(path, f"{detail}{DESCRIPTION} with kind, preprocessing and output."))
    if beside is None or preprocessing is None:
        raise refused(*reasons)
    metadata = ExportMetadata("classification", beside[0], preprocessing, Output("logits"), {})
    return Described(metadata, "files", ("logits", "probabilities"))


def _require_ranges(metadata: ExportMetadata, path: str) -> None:
    wanted, output = metadata.preprocessing, metadata.output
    checks = {
        "width and height": all(MIN_SIDE <= side <= MAX_SIDE for side in (wanted.width, wanted.height)),
        "mean and std": all(map(math.isfinite, (*wanted.mean, *wanted.std))) and 0 not in wanted.std,
        "pad": 0 <= wanted.pad <= 255,
        "stride": 0 <= wanted.stride <= 256,
        "resize_to": wanted.fit != "shortest-edge" or MIN_SIDE <= wanted.resize_to <= 2 * MAX_SIDE,
        "min_score": 0 <= output.min_score <= 1,
        "iou": 0 <= output.iou <= 1,
        "max_boxes": 1 <= output.max_boxes <= 10_000,
    }
    if failed := [name for name, passed in checks.items() if not passed]:
        raise refused(Reason(path, f"{', '.join(failed)} of the description: out of range."))
    of_classifiers = metadata.output.form in ("logits", "probabilities")
    if of_classifiers != (metadata.kind == "classification"):
        raise refused(Reason(path, f"A model for {metadata.kind} does not answer with {metadata.output.form}."))


def _loaded(text: str, path: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(Reason(path, f"Its property {KEY} is not JSON.")) from error
    if not isinstance(content, dict):
        raise refused(Reason(path, f"Its property {KEY} is not a JSON object."))
    return content


def _literal(properties: Mapping[str, str], name: str, path: str) -> Any:
    """A value as Python writes it."""
    try:
        return ast.literal_eval(properties[name])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise refused(Reason(path, f"Its property {name} cannot be read.")) from error


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 < value <= MAX_SIDE
