"""TorchScript, for programs that have torch. The service does not run it; its certificate is made with torch."""

import warnings
from pathlib import Path

import onnx
import torch

from core.domain.errors import ExportUnsupported
from pipeline.export.catalogue import FORMATS, ExportOptions
from pipeline.export.exporter import ExportSource
from pipeline.predictor.metadata import KEY
from pipeline.predictor.onnx_file import description_in


def write(source: ExportSource, folder: Path, _options: ExportOptions) -> None:
    """See `pipeline.export.exporter.Exporter`. The description is the extra file of the archive named KEY."""
    if source.traced is None:
        raise ExportUnsupported("The trainer of this model does not write TorchScript.")
    described = description_in(onnx.load(str(source.onnx), load_external_data=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises another format
        traced = torch.jit.load(str(source.traced), map_location="cpu")
        torch.jit.save(traced, str(folder / FORMATS["torchscript"].file), _extra_files={KEY: described or ""})
