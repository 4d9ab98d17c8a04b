"""What runs an exported file: onnxruntime or OpenVINO. Safe for several threads at once."""

import sys
import threading
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import KEY, MetadataInvalid
from pipeline.predictor.package import read_openvino

Tensor = NDArray[np.float32]


class EngineFailed(RuntimeError):
    """The engine cannot load the file, or cannot run it on this input; the message is the engine's."""


class Engine(Protocol):
    """`description`: the text of the metadata in the file. `name`, `precision`: for receipts, such as "onnxruntime"."""

    description: str | None
    name: str
    precision: str
    device: str

    def run(self, batch: Tensor) -> Tensor:
        """(B, 3, height, width) -> the first output, float32. A model whose batch is fixed at 1 runs once an image.

        Raises EngineFailed.
        """


class OnnxRuntime:
    def __init__(self, file: Path, *, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is in the exception
        providers = [
            name
            for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            if name in onnxruntime.get_available_providers()
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
            given = self._session.get_inputs()[0]
            self._output = self._session.get_outputs()[0].name
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error
        self._input = given.name
        self._one_by_one = given.shape[:1] == [1]
        self.description = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.device = "cuda" if self._session.get_providers()[0].startswith("CUDA") else "cpu"
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.precision = "float32"

    def run(self, batch: Tensor) -> Tensor:
        if self._one_by_one and len(batch) > 1:
            return np.concatenate([self.run(one[None]) for one in batch])
        try:
            found: Any = self._session.run([self._output], {self._input: batch})[0]
            return np.asarray(found, np.float32)
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error


class OpenVino:
    """At the precision of the file, never at the device's default, which changes boxes by tens of pixels."""

    def __init__(self, file: Path, *, threads: int, precision: str = "f32") -> None:
        openvino = import_openvino()

        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        parts = read_openvino(file) if file.suffix == ".zip" else (str(file),)
        try:
            core = openvino.Core()
            model = core.read_model(*parts)
            self._compiled = core.compile_model(model, "CPU", hints)
            first = model.inputs[0].partial_shape[0]
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error
        self._own = threading.local()
        self._one_by_one = bool(first.is_static) and first.get_length() == 1
        self.description = _rt_info(model)
        self.device = "cpu"
        self.name = f"openvino {openvino.__version__.split('-')[0]}"
        self.precision = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[precision]

    def run(self, batch: Tensor) -> Tensor:
        if self._one_by_one and len(batch) > 1:
            return np.concatenate([self.run(one[None]) for one in batch])
        try:
            return np.array(self._request().infer({0: batch}, share_inputs=True)[0], np.float32)
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error

    def _request(self) -> Any:
        """One for each thread: requests are not shared, and a new one takes memory for all layers."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._own.request


def open_engine(file: Path, *, threads: int, name: str | None = None) -> Engine:
    """By the suffix: `.onnx`, or `.xml` or `.zip` of OpenVINO. `name`: "openvino" runs an .onnx file too.

    Raises MetadataInvalid for another one, EngineFailed for a file that is not.
    """
    if name == "openvino" and file.suffix == ".onnx":
        return OpenVino(file, threads=threads)
    if file.suffix == ".onnx":
        return OnnxRuntime(file, threads=threads)
    if file.suffix in (".xml", ".zip"):
        return OpenVino(file, threads=threads)
    raise MetadataInvalid(f"{file.name} is neither an .onnx file nor an .xml or .zip file of OpenVINO.")


def _failed(error: Exception) -> EngineFailed:
    """Engines raise classes of their own, which have nothing in common."""
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    return EngineFailed(f"The engine cannot run the export: {reason}")


def _rt_info(model: Any) -> str | None:
    """Of OpenVINO's own format, and of an .onnx file that it reads."""
    for path in ([KEY], ["framework", KEY]):
        if model.has_rt_info(path):
            return str(model.get_rt_info(path).astype(str))
    return None


def import_openvino() -> Any:
    """Without the package by which openvino and nncf send what they are used for to an analytics service."""
    cast(Any, sys.modules)["openvino_telemetry"] = None
    import openvino

    return openvino
