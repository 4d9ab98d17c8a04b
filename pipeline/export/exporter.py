"""What the module of a format provides, and what it is given."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from pipeline.export.catalogue import FORMATS, ExportOptions, Format
from pipeline.export.quantisation import Quantisation


@dataclass(frozen=True, slots=True)
class ExportSource:
    """`onnx`: in single precision, with its description. `traced`: as TorchScript, for the formats that need it.

    `quantisation`: of an int8 export.
    """

    onnx: Path
    traced: Path | None = None
    quantisation: Quantisation | None = None


class Exporter(Protocol):
    def write(self, source: ExportSource, folder: Path, options: ExportOptions) -> None:
        """Writes its files into the empty `folder`. Raises FormatUnavailable, ExportUnsupported."""


def exporter_of(name: Format) -> Exporter:
    return cast(Exporter, import_module(FORMATS[name].module))
