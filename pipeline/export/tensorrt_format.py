"""An engine of TensorRT, for the GPU of the machine that writes it: no other kind of GPU and no other version runs it.

The file begins as ultralytics writes it: four bytes with the length of a JSON text, the text, then the engine.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx

from core.domain.errors import FormatUnavailable
from pipeline.export.catalogue import FORMATS, ExportOptions
from pipeline.export.exporter import ExportSource
from pipeline.predictor.metadata import Preprocessing, read_metadata
from pipeline.predictor.onnx_file import description_in

BATCHES = (1, 4, 32)  # least, usual, most
WORKSPACE_BYTES = 2 << 30


def write(source: ExportSource, folder: Path, options: ExportOptions) -> None:
    """See `pipeline.export.exporter.Exporter`."""
    trt = _library()
    graph = onnx.load(str(source.onnx))
    description = description_in(graph)
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network()
    parser = trt.OnnxParser(network, builder.logger)
    if not parser.parse(graph.SerializeToString()):
        raise FormatUnavailable(f"TensorRT does not read the model: {parser.get_error(0)}", missing=["an operator"])
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if options.precision == "fp16":
        config.set_flag(trt.BuilderFlag.FP16)
    preprocessing = read_metadata(description).preprocessing
    config.add_optimization_profile(_profile(builder, network.get_input(0).name, preprocessing))
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise FormatUnavailable("TensorRT built no engine of the model; the log of the operation has its messages.")
    text = (description or "").encode()
    (folder / FORMATS["tensorrt"].file).write_bytes(len(text).to_bytes(4, "little") + text + bytes(built))


def read_engine(file: Path) -> tuple[str, bytes]:
    """The description, and the engine itself."""
    content = file.read_bytes()
    end = 4 + int.from_bytes(content[:4], "little")
    return content[4:end].decode(), content[end:]


def _library() -> Any:
    """Raises FormatUnavailable, which names what is missing."""
    missing = []
    if find_spec("tensorrt") is None:
        missing.append("the package tensorrt")
    import torch

    if not torch.cuda.is_available():
        missing.append("an NVIDIA GPU")
    if missing:
        raise FormatUnavailable(f"tensorrt: this worker lacks {' and '.join(missing)}.", missing=missing)
    import tensorrt

    return tensorrt


def _profile(builder: Any, name: str, preprocessing: Preprocessing) -> Any:
    """Each batch of BATCHES at the sides that the predictor makes: a detector's may be shorter, by its stride."""
    largest = (preprocessing.height, preprocessing.width)
    least = (preprocessing.stride, preprocessing.stride) if preprocessing.stride else largest
    profile = builder.create_optimization_profile()
    profile.set_shape(name, (BATCHES[0], 3, *least), (BATCHES[1], 3, *largest), (BATCHES[2], 3, *largest))
    return profile
