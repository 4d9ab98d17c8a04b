"""`python -m pipeline.export.torch_process FILE [--threads N]`: as `pipeline.predictor.process`, with torch.

Only certificates run it: the images are read and the boxes suppressed by the predictor, the model is run by torch or,
on tensors of torch, by TensorRT.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.export.tensorrt_format import read_engine
from pipeline.predictor.engines import Engine
from pipeline.predictor.metadata import KEY
from pipeline.predictor.predictor import ExportPredictor
from pipeline.predictor.process import serve

Array = NDArray[np.float32]


class TorchScript:
    """See `pipeline.predictor.engines.Engine`."""

    def __init__(self, file: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        described: dict[str, Any] = {KEY: ""}
        self._model = torch.jit.load(str(file), map_location="cpu", _extra_files=described).eval()
        text = described[KEY]
        self.description: str | None = text.decode() if isinstance(text, bytes) else str(text)
        self.device = "cpu"
        self.name = f"torchscript {torch.__version__}"
        self.precision = "float32"

    def run(self, batch: Array) -> Array:
        with torch.inference_mode():
            found = self._model(torch.from_numpy(batch))
        return np.asarray((found[0] if isinstance(found, tuple | list) else found).numpy())


class TensorRt:
    """See `pipeline.predictor.engines.Engine`."""

    def __init__(self, file: Path) -> None:
        import tensorrt

        self.description: str | None
        self.description, content = read_engine(file)
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        engine = self._runtime.deserialize_cuda_engine(content)
        self._context = engine.create_execution_context()
        self._input, self._output = engine.get_tensor_name(0), engine.get_tensor_name(1)
        self.device = "cuda"
        self.name = f"tensorrt {tensorrt.__version__}"
        self.precision = "float32"

    def run(self, batch: Array) -> Array:
        given = torch.from_numpy(batch).cuda().contiguous()
        self._context.set_input_shape(self._input, tuple(given.shape))
        found = torch.empty(tuple(self._context.get_tensor_shape(self._output)), device="cuda")
        self._context.set_tensor_address(self._input, given.data_ptr())
        self._context.set_tensor_address(self._output, found.data_ptr())
        self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
        return np.asarray(found.cpu().numpy())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.export.torch_process")
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    on_gpu = args.file.suffix == ".engine"
    engine: Engine = TensorRt(args.file) if on_gpu else TorchScript(args.file, threads=args.threads)
    serve(ExportPredictor(args.file, threads=args.threads, engine=engine), sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
