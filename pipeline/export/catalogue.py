"""The catalogue of export formats: name -> what writes it. All are import strings, so that it is light."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["onnx", "openvino", "torchscript", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Nms = Literal["outside", "inside"]

PREDICTOR_PROCESS = (sys.executable, "-m", "pipeline.predictor.process")


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """`module`: an Exporter. `file`: the name of the one file that is delivered, a ZIP where the format has several.

    `nms_inside`: whether suppression can be a part of it. `process`: runs the file for its certificate; see
    `pipeline.predictor.process`. `served`: whether that is the predictor itself, without the framework.
    """

    module: str
    file: str
    media_type: str
    precisions: tuple[Precision, ...]
    nms_inside: bool
    process: Sequence[str] = PREDICTOR_PROCESS
    served: bool = True


_BINARY = "application/octet-stream"
_WITH_TORCH = (sys.executable, "-m", "pipeline.export.torch_process")
FORMATS: Mapping[Format, FormatEntry] = {
    "onnx": FormatEntry("pipeline.export.onnx_format", "model.onnx", _BINARY, ("fp32", "fp16", "int8"), True),
    "openvino": FormatEntry(
        "pipeline.export.openvino_format", "openvino.zip", "application/zip", ("fp32", "fp16", "bf16", "int8"), True
    ),
    "torchscript": FormatEntry(
        "pipeline.export.torchscript_format", "model.torchscript", _BINARY, ("fp32",), False, _WITH_TORCH, served=False
    ),
    "tensorrt": FormatEntry(
        "pipeline.export.tensorrt_format", "model.engine", _BINARY, ("fp32", "fp16"), False, _WITH_TORCH, served=False
    ),
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`max_drop`: of an int8 export, the most that mAP50-95 or accuracy may fall; None: as in the table of bounds."""

    format: Format
    precision: Precision = "fp32"
    nms: Nms = "outside"
    max_drop: float | None = None
