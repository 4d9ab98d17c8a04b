"""The catalogue of export formats: name -> what writes it. All are import strings, so that it is light."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

Format = Literal["onnx", "openvino", "torchscript"]
Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """`module`: an Exporter. `file`: the name of what it writes. `predicts`: whether the predictor can run it."""

    module: str
    file: str
    precisions: tuple[Precision, ...]
    predicts: bool


FORMATS: Mapping[Format, FormatEntry] = {
    "onnx": FormatEntry("pipeline.export.onnx_format", "model.onnx", ("fp32", "fp16"), predicts=True),
    "openvino": FormatEntry("pipeline.export.openvino_format", "model.xml", ("fp32", "fp16"), predicts=True),
    "torchscript": FormatEntry("pipeline.export.torchscript_format", "model.torchscript", ("fp32",), predicts=False),
}


class Exporter(Protocol):
    """What the module of a format provides."""

    def write(self, onnx_file: Path, traced: Path | None, target: Path, *, precision: Precision) -> None:
        """Writes `target`. `onnx_file`: the model in single precision with its description. `traced`: as TorchScript,
        for the formats that need it."""


def exporter_of(name: Format) -> Exporter:
    return cast(Exporter, import_module(FORMATS[name].module))
