"""ONNX, for onnxruntime. Half precision: weights and computation; input and output stay in single precision."""

import shutil
from pathlib import Path

import onnx

from pipeline.export.catalogue import Precision


def write(onnx_file: Path, _traced: Path | None, target: Path, *, precision: Precision) -> None:
    """See `pipeline.export.catalogue.Exporter`."""
    if precision == "fp32":
        shutil.copyfile(onnx_file, target)
        return
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(str(onnx_file)), keep_io_types=True), str(target))
