"""The precision of an export by the file itself, whatever a receipt or a request says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from pipeline.export.catalogue import Precision
from pipeline.predictor.engines import COMPUTES_IN, import_openvino
from pipeline.predictor.package import read_openvino

QUANTISED_ONNX = ("QuantizeLinear", "DequantizeLinear")
QUANTISED_OPENVINO = "FakeQuantize"


def file_precision(file: Path, about: Mapping[str, Any]) -> Precision:
    """Of an .onnx file, or of an .xml or .zip file of OpenVINO, that an engine has loaded; `about`: of its description.

    The description of an export has the precision that its certificate is of. Without, the graph says it. int8: layers
    are quantised; fp16: weights are halves; bf16: the file orders it, since its weights are single.
    """
    for precision in get_args(Precision):
        if precision == about.get("precision"):
            return cast(Precision, precision)
    return _of_onnx(file) if file.suffix == ".onnx" else _of_openvino(file)


def _of_onnx(file: Path) -> Precision:
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    if any(node.op_type in QUANTISED_ONNX for node in graph.node):
        return "int8"
    half = onnx.TensorProto.FLOAT16
    casts = (each.i for node in graph.node if node.op_type == "Cast" for each in node.attribute if each.name == "to")
    is_half = half in casts or any(each.data_type == half for each in graph.initializer)
    return "fp16" if is_half else "fp32"


def _of_openvino(file: Path) -> Precision:
    parts = read_openvino(file) if file.suffix == ".zip" else (str(file),)
    model: Any = import_openvino().Core().read_model(*parts)
    layers = model.get_ops()
    if any(each.get_type_name() == QUANTISED_OPENVINO for each in layers):
        return "int8"
    if model.has_rt_info([COMPUTES_IN]) and str(model.get_rt_info([COMPUTES_IN]).astype(str)) == "bf16":
        return "bf16"
    constants = [each for each in layers if each.get_type_name() == "Constant"]
    return "fp16" if any(each.get_element_type().get_type_name() == "f16" for each in constants) else "fp32"
