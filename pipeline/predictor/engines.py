"""What runs an exported file: onnxruntime or OpenVINO. Safe for several threads at once."""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.metadata import KEY, MetadataInvalid
from pipeline.predictor.package import read_openvino

COMPUTES_IN = "darkroom_computes_in"  # the entry of OpenVINO's `rt_info` with a precision other than single
Tensor = NDArray[np.float32]
Device = Literal["auto", "cpu", "cuda", "tensorrt"]
# Of onnxruntime, with options: by default CUDA and TensorRT round the inputs of a layer to 10 bits of fraction (TF32).
PROVIDERS: Mapping[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "tensorrt": ("TensorrtExecutionProvider", {"trt_fp16_enable": "0"}),
}


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
    """`device`: `auto` takes CUDA where onnxruntime has it, else the processor. Another one is taken, or fails."""

    def __init__(self, file: Path, *, threads: int, device: Device = "auto") -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is in the exception
        providers = _providers(device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
            given = self._session.get_inputs()[0]
            self._output = self._session.get_outputs()[0].name
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error
        taken = str(self._session.get_providers()[0])  # onnxruntime goes to the processor where a GPU's library fails
        if device != "auto" and taken != providers[0][0]:
            raise EngineFailed(f"onnxruntime cannot compute on {device}: it would take {taken}. Install its libraries.")
        self._input = given.name
        self._one_by_one = given.shape[:1] == [1]
        self.description = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.device = next(name for name, (provider, _) in PROVIDERS.items() if provider == taken)
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
    """At the precision that the file names, by default single, never at the device's default, which changes boxes by
    tens of pixels. `precision`: what it computes in; a processor without bfloat16 takes single precision for it."""

    def __init__(self, file: Path, *, threads: int, streams: int = 1) -> None:
        openvino = import_openvino()

        hints: dict[str, Any] = {"INFERENCE_NUM_THREADS": streams * threads, "NUM_STREAMS": streams}
        hints["ENABLE_CPU_PINNING"] = False  # every process would pin its threads to the same cores
        parts = read_openvino(file) if file.suffix == ".zip" else (str(file),)
        try:
            core = openvino.Core()
            model = core.read_model(*parts)
            hints["INFERENCE_PRECISION_HINT"] = _computes_in(model)
            self._compiled = core.compile_model(model, "CPU", hints)
            computed = str(self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
            first = model.inputs[0].partial_shape[0]
        except Exception as error:  # of the engine's own classes: see _failed
            raise _failed(error) from error
        self._own = threading.local()
        self._one_by_one = bool(first.is_static) and first.get_length() == 1
        self.description = _rt_info(model)
        self.device = "cpu"
        self.name = f"openvino {openvino.__version__.split('-')[0]}"
        self.precision = {"f32": "float32", "bf16": "bfloat16"}.get(computed, computed)

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


def open_engine(
    file: Path, *, threads: int, name: str | None = None, device: Device = "auto", streams: int = 1
) -> Engine:
    """By the suffix: `.onnx`, or `.xml` or `.zip` of OpenVINO. `name`: "openvino" runs an .onnx file too.

    `threads`: of one run; `streams`: runs at once, by as many threads of the caller. OpenVINO computes them one after
    the other where it does not know.

    Raises MetadataInvalid for another one, EngineFailed for a file that is not, and for a device that is not there.
    """
    if file.suffix == ".onnx" and name != "openvino":
        return OnnxRuntime(file, threads=threads, device=device)
    if file.suffix in (".onnx", ".xml", ".zip"):
        if device not in ("auto", "cpu"):
            raise EngineFailed(f"OpenVINO computes on the processor here, not on {device}.")
        return OpenVino(file, threads=threads, streams=streams)
    raise MetadataInvalid(f"{file.name} is neither an .onnx file nor an .xml or .zip file of OpenVINO.")


def _providers(device: Device, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """In the order in which onnxruntime tries them. Raises EngineFailed where it does not have the device."""
    if device != "auto" and PROVIDERS[device][0] not in available:
        raise EngineFailed(f"This onnxruntime has no {PROVIDERS[device][0]}: install onnxruntime-gpu, or set `auto`.")
    wanted = {"auto": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda")}.get(device, (device,))
    return [PROVIDERS[name] for name in wanted if PROVIDERS[name][0] in available]


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


def _computes_in(model: Any) -> str:
    """What the file was certified with. Any other entry than ours counts for nothing."""
    named = model.has_rt_info([COMPUTES_IN]) and str(model.get_rt_info([COMPUTES_IN]).astype(str)) == "bf16"
    return "bf16" if named else "f32"


def import_openvino() -> Any:
    """Without the package by which openvino and nncf send what they are used for to an analytics service."""
    cast(Any, sys.modules)["openvino_telemetry"] = None
    import openvino

    return openvino
