"""ONNX, for onnxruntime. fp16 and int8: computation as well as weights; input and output stay in single precision."""

import shutil
from pathlib import Path

import onnx

from pipeline.export.catalogue import FORMATS, ExportOptions
from pipeline.export.exporter import ExportSource
from pipeline.export.quantisation import Quantisation
from pipeline.export.suppression_graph import add_suppression
from pipeline.predictor.metadata import read_metadata
from pipeline.predictor.onnx_file import describe_onnx, description_in


def write(source: ExportSource, folder: Path, options: ExportOptions) -> None:
    """See `pipeline.export.exporter.Exporter`."""
    target = folder / FORMATS["onnx"].file
    if source.quantisation is not None:
        _quantise(source.onnx, target, source.quantisation)
    elif options.precision == "fp16":
        _halve(source.onnx, target)
    else:
        shutil.copyfile(source.onnx, target)
    if options.nms == "inside":
        add_suppression(target)  # after the others: the corners of boxes stay in single precision


def _halve(source: Path, target: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True))
    halved.topological_sort()  # the casts of the input are added behind all nodes
    onnx.save(halved.model, str(target))


def _quantise(source: Path, target: Path, quantisation: Quantisation) -> None:
    """Weights by channel, activations by the largest values that calibration shows."""
    from onnxruntime.quantization import QuantFormat, quantize_static

    quantize_static(
        str(source),
        str(target),
        _Reader(quantisation),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        nodes_to_exclude=list(quantisation.single),
    )
    describe_onnx(target, read_metadata(description_in(onnx.load(str(source)))))


class _Reader:
    """A CalibrationDataReader of onnxruntime, which needs no more than this."""

    def __init__(self, quantisation: Quantisation) -> None:
        self._inputs = iter(quantisation)
        self._name = quantisation.input_name

    def get_next(self) -> dict[str, object] | None:
        values = next(self._inputs, None)
        return None if values is None else {self._name: values}
