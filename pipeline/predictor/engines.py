"""What runs an exported file: onnxruntime or OpenVINO. Safe for several threads at once."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import KEY, MetadataInvalid

Tensor = NDArray[np.float32]


class Engine(Protocol):
    """`description`: the text of the metadata in the file. `name`, `precision`: for receipts, such as "onnxruntime"."""

    description: str | None
    name: str
    precision: str

    def run(self, batch: Tensor) -> Tensor:
        """(B, 3, height, width) -> the first output, float32. A model whose batch is fixed at 1 runs once an image."""


class OnnxRuntime:
    def __init__(self, file: Path, *, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = [
            name
            for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            if name in onnxruntime.get_available_providers()
        ]
        self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._one_by_one = self._session.get_inputs()[0].shape[0] == 1
        self.description = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.precision = "float32"

    def run(self, batch: Tensor) -> Tensor:
        if self._one_by_one and len(batch) > 1:
            return np.concatenate([self._run(one[None]) for one in batch])
        return self._run(batch)

    def _run(self, batch: Tensor) -> Tensor:
        found: Any = self._session.run([self._output], {self._input: batch})[0]
        return np.asarray(found, np.float32)


class OpenVino:
    """At the precision of the file, never at the device's default, which changes boxes by tens of pixels."""

    def __init__(self, file: Path, *, threads: int, precision: str = "f32") -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(str(file))
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        self._compiled = core.compile_model(model, "CPU", hints)
        first = model.input(0).partial_shape[0]
        self._one_by_one = bool(first.is_static) and first.get_length() == 1
        self.description = _rt_info(model)
        self.name = f"openvino {openvino.__version__.split('-')[0]}"
        self.precision = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[precision]

    def run(self, batch: Tensor) -> Tensor:
        if self._one_by_one and len(batch) > 1:
            return np.concatenate([self._run(one[None]) for one in batch])
        return self._run(batch)

    def _run(self, batch: Tensor) -> Tensor:
        request = self._compiled.create_infer_request()  # one for each call: requests are not shared by threads
        return np.array(request.infer({0: batch}, share_inputs=True)[0], np.float32)


def open_engine(file: Path, *, threads: int) -> Engine:
    """By the suffix: `.onnx` or `.xml`. Raises MetadataInvalid for another one, and what the library raises."""
    if file.suffix == ".onnx":
        return OnnxRuntime(file, threads=threads)
    if file.suffix == ".xml":
        return OpenVino(file, threads=threads)
    raise MetadataInvalid(f"{file.name} is neither an .onnx file nor an .xml file of OpenVINO.")


def _rt_info(model: Any) -> str | None:
    return str(model.get_rt_info([KEY]).astype(str)) if model.has_rt_info([KEY]) else None
