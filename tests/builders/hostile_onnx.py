"""ONNX uploads that are broken, hostile or incomplete, each with what its refusal says."""

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.predictor.metadata import KEY
from tests.builders.foreign_models import zip_of
from tests.builders.onnx_models import (
    CLASSES,
    SIDE,
    described,
    model_of,
    of_ultralytics,
    onnx_classifier,
    onnx_detector,
    with_properties,
)

LABELS = "\n".join(CLASSES).encode()
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
DETECTION = {
    "kind": "detection",
    "preprocessing": {"width": SIDE, "height": SIDE, "fit": "letterbox", "interpolation": "linear", "stride": 32},
    "output": {"form": "anchors"},
}

Make = Callable[[], bytes]


def onnx_zip(
    model: onnx.ModelProto | None = None, *, processor: Mapping[str, Any] | None = PROCESSOR, **files: bytes
) -> bytes:
    """A classifier with labels.txt and its image processor. `files`: others, such as `labels_json`; empty: left out."""
    named = {
        name.replace("_", ".") if name != "darkroom_json" else "darkroom.json": each for name, each in files.items()
    }
    whole = {"model.onnx": (model or onnx_classifier()).SerializeToString(), "labels.txt": LABELS}
    if processor is not None:
        whole["preprocessor_config.json"] = json.dumps(processor).encode()
    return zip_of({name: each for name, each in (whole | named).items() if each})


def detector_zip(**changes: Any) -> bytes:
    content = json.dumps({key: value for key, value in (DETECTION | changes).items() if value is not None}).encode()
    return onnx_zip(onnx_detector(), processor=None, darkroom_json=content)


def _classifier(*nodes: Any, **options: Any) -> Make:
    return lambda: described(onnx_classifier(nodes=nodes, **options), "classification", "logits").SerializeToString()


def _changed(change: Callable[[onnx.ModelProto], object]) -> Make:
    def make() -> bytes:
        model = described(onnx_classifier(), "classification", "logits")
        change(model)
        return model.SerializeToString()

    return make


def _weights(values: Any) -> Make:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), "spare"))

    return _changed(change)


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer.add(name="spare", dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def _short(model: onnx.ModelProto) -> None:
    model.graph.initializer.add(name="spare", dims=[2**40], data_type=TensorProto.FLOAT, raw_data=b"\0" * 8)


def _function(model: onnx.ModelProto) -> None:
    """Each calls the next one twice: 2 to the power of 40 operators, once they are inlined."""
    for depth in range(40):
        calls = [helper.make_node(f"f{depth + 1}", ["x"], [name], domain="made") for name in ("a", "y")]
        opset = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("made", f"f{depth}", ["x"], ["y"], calls, opset))


def _loop() -> Any:
    body = helper.make_graph([], "body", [], [])
    return helper.make_node("Loop", ["", ""], ["spare"], name="endless", body=body)


def _answers(expression: Sequence[Any], shape: Sequence[int | str], *weights: Any, batch: int | str = "batch") -> Make:
    """A classifier whose output is made by other nodes from `means` (B, 3, 1, 1)."""

    def make() -> bytes:
        pool = helper.make_node("GlobalAveragePool", ["pixels"], ["means"])
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (batch, 3, 32, 32))
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
        model = model_of([pool, *expression], weights, [pixels], [output])
        return described(model, "classification", "logits").SerializeToString()

    return make


def _integers(name: str, *values: int) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def _mixed() -> Make:
    """The mean over the batch is taken off: an image has another answer beside others."""
    nodes = [
        helper.make_node("ReduceMean", ["means", "axis"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["means", "mean"], ["centred"]),
        helper.make_node("Reshape", ["centred", "flat"], ["output"]),
    ]
    return _answers(nodes, ("batch", 3), _integers("axis", 0), _integers("flat", 0, 3))


def _huge() -> Make:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["none"], keepdims=0),
        helper.make_node("Add", ["means", "none"], ["more"]),
        helper.make_node("Reshape", ["more", "flat"], ["output"]),
    ]
    return _answers(nodes, ("batch", 3), _integers("size", 2**32), _integers("flat", 0, 3))


def _infinite() -> Make:
    nodes = [
        helper.make_node("Div", ["means", "zero"], ["much"]),
        helper.make_node("Reshape", ["much", "flat"], ["output"]),
    ]
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    return _answers(nodes, ("batch", 3), zero, _integers("flat", 0, 3))


def _renamed(**changes: Any) -> Make:
    return lambda: of_ultralytics(onnx_detector(), **changes).SerializeToString()


def _property(text: str) -> Make:
    return lambda: with_properties(onnx_classifier(), {KEY: text}).SerializeToString()


def _with_shares(model: onnx.ModelProto) -> onnx.ModelProto:
    """Its boxes as shares of the input's sides."""
    model.graph.node[-1].output[0] = "in_pixels"
    factors = np.array([1 / SIDE] * 4 + [1] * len(CLASSES), np.float32).reshape(1, -1, 1)
    model.graph.initializer.append(numpy_helper.from_array(factors, "factors"))
    model.graph.node.append(helper.make_node("Mul", ["in_pixels", "factors"], ["output"]))
    return model


def _second(kind: str) -> Make:
    def change(model: onnx.ModelProto) -> None:
        values = model.graph.input if kind == "input" else model.graph.output
        values.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 4)))

    return _changed(change)


REFUSED: Mapping[str, tuple[Make, str]] = {
    "no-protobuf": (lambda: b"\x08\x09" + os.urandom(400), "not an ONNX file"),
    "cut-off": (lambda: _classifier()()[:300], "not an ONNX file"),
    "empty-graph": (_changed(lambda model: model.graph.ClearField("node")), "no operators"),
    "external-data": (_changed(_external), "a file of its own"),
    "weights-that-are-missing": (_changed(_short), "does not have the values"),
    "weights-not-finite": (_weights([1, float("nan")]), "not finite"),
    "other-domain": (_classifier(helper.make_node("Run", ["logits"], ["x"], domain="evil")), "'evil'"),
    "functions": (_changed(_function), "functions"),
    "loop": (_classifier(_loop()), "control flow"),
    "random": (_classifier(helper.make_node("RandomNormal", [], ["x"], shape=[1])), "random numbers"),
    "sparse": (_changed(lambda model: model.graph.sparse_initializer.add()), "sparse"),
    "unknown-operator": (_classifier(helper.make_node("Summon", ["logits"], ["x"])), "cannot be run"),
    "too-many-operators": (_classifier(*[helper.make_node("Identity", ["logits"], ["x"])] * 20_001), "20005 operators"),
    "two-inputs": (_second("input"), "one input"),
    "two-outputs": (_second("output"), "one output"),
    "fixed-batch": (_classifier(batch=4), "exactly 4 images"),
    "other-side": (_classifier(side=64), "has a height of 64"),
    "gigabytes-to-run": (_huge(), "cannot be run"),
    "answers-not-finite": (_infinite(), "not finite"),
    "answers-by-batch": (_mixed(), "fixed batch of 1"),
    "other-shape": (
        _answers([helper.make_node("Identity", ["means"], ["output"])], ("batch", 3, 1, 1)),
        "(1, 3, 1, 1)",
    ),
    "no-labels": (lambda: onnx_zip(labels_txt=b""), "labels.txt (one name a line"),
    "no-preprocessing": (lambda: onnx_zip(processor=None), "Add preprocessor_config.json"),
    "half-a-processor": (lambda: onnx_zip(processor=PROCESSOR | {"do_rescale": None}), "does not say do_rescale"),
    "unsupported-processor": (lambda: onnx_zip(processor=PROCESSOR | {"crop_pct": 0.9}), "crop_pct"),
    "labels-that-differ": (lambda: onnx_zip(labels_json=b'["a", "b", "c"]'), "other classes than labels.txt"),
    "too-few-labels": (lambda: onnx_zip(labels_txt=b"red\ngreen"), "with 2 classes"),
    "same-labels": (lambda: onnx_zip(labels_txt=b"red\nred\nred"), "called 'red'"),
    "labels-in-bytes": (lambda: onnx_zip(labels_txt=b"\xff\xfe\x00red"), "not UTF-8"),
    "several-models": (lambda: zip_of({"a.onnx": b"\x08", "b.onnx": b"\x08"}), "several models"),
    "huge-labels": (
        lambda: zip_of({"a.onnx": b"\x08\x09", "labels.txt": b"a\n" * 3 * 1024**2}, method=zipfile.ZIP_STORED),
        "at most 4194304",
    ),
    "property-not-json": (_property("{"), "not JSON"),
    "property-nested-without-end": (_property('{"a":' * 100_000), "not JSON"),
    "property-without-input": (_property('{"schema": 1, "kind": "classification"}'), "preprocessing, output missing"),
    "later-description": (_property('{"schema": 2}'), "schema is 2"),
    "huge-input": (lambda: detector_zip(preprocessing={**DETECTION["preprocessing"], "width": 10**6}), "out of range"),  # type: ignore[dict-item]
    "threshold-of-one-class": (
        lambda: detector_zip(output={"form": "anchors", "thresholds": [0.5]}),
        "one threshold for each class",
    ),
    "thresholds-not-finite": (
        lambda: detector_zip(output={"form": "anchors", "thresholds": [0.5, 0.5, float("nan")]}),
        "thresholds",
    ),
    "values-without-end": (
        lambda: detector_zip(preprocessing={**DETECTION["preprocessing"], "std": [1e-30, 1, 1]}),  # type: ignore[dict-item]
        "std",
    ),
    "boxes-as-shares": (lambda: of_ultralytics(_with_shares(onnx_detector())).SerializeToString(), "shares of the"),
    "unknown-field": (lambda: detector_zip(output={"form": "anchors", "run": "me"}), "run is no field"),
    "wrong-type": (lambda: detector_zip(output={"form": "sideways"}), "output.form"),
    "form-of-the-other-kind": (lambda: detector_zip(output={"form": "logits"}), "does not answer with logits"),
    "boxes-of-another-form": (lambda: detector_zip(output={"form": "kept-boxes"}), "(1, N, 6) is expected"),
    "classes-missing": (
        lambda: onnx_zip(onnx_detector(), processor=None, labels_txt=b"", darkroom_json=json.dumps(DETECTION).encode()),
        "classes missing",
    ),
    "another-task": (_renamed(task="segment"), "'segment'"),
    "names-that-run": (_renamed(names="__import__('os').mkdir('executed')"), "names cannot be read"),
    "names-without-numbers": (_renamed(names={"a": "red"}), "does not number"),
    "endless-names": (_renamed(names="(" * 100_000), "names cannot be read"),
    "too-long-property": (_renamed(description="x" * 1024**2 * 2), "1048576 characters"),
    "more-channels": (_renamed(channels=6), "6 channels"),
    "suppression-that-is-missing": (_renamed(args={"nms": True, "dynamic": True}), "(1, N, 6) is expected"),
}
