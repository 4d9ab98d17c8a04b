"""OpenVINO's IR: an .xml file, and a .bin file of the same name beside it. Half precision: the weights alone."""

from pathlib import Path

import onnx
import openvino

from pipeline.export.catalogue import Precision
from pipeline.predictor.metadata import KEY


def write(onnx_file: Path, _traced: Path | None, target: Path, *, precision: Precision) -> None:
    """See `pipeline.export.catalogue.Exporter`."""
    model = openvino.convert_model(str(onnx_file))
    described = {entry.key: entry.value for entry in onnx.load(str(onnx_file), load_external_data=False).metadata_props}
    model.set_rt_info(described[KEY], [KEY])
    openvino.save_model(model, str(target), compress_to_fp16=precision == "fp16")
