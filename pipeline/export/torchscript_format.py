"""TorchScript, to be downloaded: running it takes torch, which the predictor does not use."""

import shutil
from pathlib import Path

from pipeline.export.catalogue import Precision


def write(_onnx_file: Path, traced: Path | None, target: Path, *, precision: Precision) -> None:  # noqa: ARG001 - the protocol's
    """See `pipeline.export.catalogue.Exporter`."""
    if traced is None:
        raise ValueError("there is no traced model")
    shutil.copyfile(traced, target)
