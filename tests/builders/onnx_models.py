"""Small ONNX models made node by node, without torch: the colour models of tests.builders.colour_models.

The classifier names the colour of the left half of an image, the detector finds squares of a colour.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from pipeline.predictor.metadata import KEY, ExportMetadata, Output, Preprocessing

CLASSES = ("red", "green", "blue")
SIDE, CELL, SQUARE = 128, 8, 24  # px: of the detector's input, of a cell of it, of a square in it
CLASSIFIER_SIDE = 32
Size = int | str


def onnx_classifier(
    *, batch: Size = "batch", softmax: bool = False, side: Size = CLASSIFIER_SIDE, nodes: Sequence[Any] = ()
) -> onnx.ModelProto:
    """(B, 3, side, side), 0 to 1 -> (B, 3): the mean of each channel over the left half. `nodes`: more of them."""
    constants = {"starts": [0], "ends": [CLASSIFIER_SIDE // 2], "axes": [3], "flat": [0, 3]}
    made = [
        helper.make_node("Slice", ["pixels", "starts", "ends", "axes"], ["left"]),
        helper.make_node("GlobalAveragePool", ["left"], ["means"]),
        helper.make_node("Mul", ["means", "four"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["logits"]),
        *([helper.make_node("Softmax", ["logits"], ["output"])] if softmax else []),
        *nodes,
    ]
    weights = [_integers(name, values) for name, values in constants.items()] + [_floats("four", 4.0)]
    out = "output" if softmax else "logits"
    return model_of(made, weights, [_value("pixels", (batch, 3, side, side))], [_value(out, (batch, 3))])


def onnx_detector(*, batch: Size = "batch", sides: Sequence[Size] = ("height", "width")) -> onnx.ModelProto:
    """(B, 3, H, W), 0 to 1 -> (B, 4 + 3, N): a box of SQUARE px at each cell whose surroundings have one colour."""
    contrast = 24 * (1.5 * np.eye(3) - 0.5).reshape(3, 3, 1, 1)
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 0}
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("AveragePool", ["cells"], ["means"], **pool),
        helper.make_node("Conv", ["means", "contrast", "bias"], ["contrasts"]),
        helper.make_node("Sigmoid", ["contrasts"], ["scores"]),
        helper.make_node("Slice", ["means", "zero", "one", "channels"], ["first"]),
        helper.make_node("Mul", ["first", "none"], ["empty"]),
        helper.make_node("Add", ["empty", "single"], ["ones"]),
        *_places("columns", "width_axis"),
        *_places("rows", "height_axis"),
        helper.make_node("Mul", ["ones", "square"], ["sides"]),
        helper.make_node("Concat", ["columns", "rows", "sides", "sides", "scores"], ["grid"], axis=1),
        helper.make_node("Reshape", ["grid", "flat"], ["output"]),
    ]
    weights = [
        numpy_helper.from_array(contrast.astype(np.float32), "contrast"),
        numpy_helper.from_array(np.full(3, -24 * 0.55, np.float32), "bias"),
        *(_integers(name, [value]) for name, value in (("zero", 0), ("one", 1), ("channels", 1))),
        *(numpy_helper.from_array(np.array(axis, np.int64), name) for name, axis in _AXES.items()),
        *(_floats(name, value) for name, value in _NUMBERS.items()),
        _integers("flat", [0, 7, -1]),
    ]
    return model_of(nodes, weights, [_value("pixels", (batch, 3, *sides))], [_value("output", (batch, 7, "places"))])


_AXES = {"width_axis": 3, "height_axis": 2}
_NUMBERS = {"none": 0.0, "single": 1.0, "half": 0.5, "cell": float(CELL), "square": float(SQUARE)}


def _places(name: str, axis: str) -> list[Any]:
    return [
        helper.make_node("CumSum", ["ones", axis], [f"{name}_count"]),
        helper.make_node("Sub", [f"{name}_count", "half"], [f"{name}_middle"]),
        helper.make_node("Mul", [f"{name}_middle", "cell"], [name]),
    ]


def scene(left: str, right: str) -> bytes:
    """A PNG with a square of each of two CLASSES on grey."""
    image = Image.new("RGB", (2 * SIDE, SIDE), (128, 128, 128))
    pen, side = ImageDraw.Draw(image), 2 * SQUARE
    for column, name in enumerate((left, right)):
        colour = tuple(230 if name == each else 20 for each in CLASSES)
        pen.rectangle((column * SIDE + 32, 32, column * SIDE + 31 + side, 31 + side), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def described(model: onnx.ModelProto, kind: str, form: str, **changes: Any) -> onnx.ModelProto:
    """With our description. `changes`: of its preprocessing."""
    if kind == "detection":
        wanted: dict[str, Any] = {"width": SIDE, "height": SIDE, "fit": "letterbox", "interpolation": "linear"}
        wanted |= {"stride": 32}
    else:
        wanted = {"width": CLASSIFIER_SIDE, "height": CLASSIFIER_SIDE, "fit": "stretch", "interpolation": "bilinear"}
    metadata = ExportMetadata(kind, CLASSES, Preprocessing(**(wanted | changes)), Output(form), {})  # type: ignore[arg-type]
    return with_properties(model, {KEY: metadata.to_json()})


def of_ultralytics(model: onnx.ModelProto, **changes: Any) -> onnx.ModelProto:
    """With the properties that the exporter of ultralytics writes."""
    given = {
        "description": "Ultralytics YOLOv8n model trained on shapes.yaml",
        "author": "Ultralytics",
        "stride": 32,
        "task": "detect",
        "head": "Detect",
        "batch": 1,
        "imgsz": [SIDE, SIDE],
        "names": dict(enumerate(CLASSES)),
        "args": {"batch": 1, "quantize": None, "dynamic": True, "simplify": False, "opset": None},
        "channels": 3,
        "end2end": False,
    }
    return with_properties(model, {key: str(value) for key, value in (given | changes).items() if value is not None})


def with_properties(model: onnx.ModelProto, properties: Mapping[str, str]) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    helper.set_model_props(made, dict(properties))
    return made


def model_of(
    nodes: Sequence[Any], weights: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], *, domain: str = ""
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializer=weights)
    domains = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


def _value(name: str, shape: Sequence[Size]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _integers(name: str, values: Sequence[int]) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def _floats(name: str, value: float) -> Any:
    return numpy_helper.from_array(np.array(value, np.float32), name)
