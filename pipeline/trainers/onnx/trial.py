"""The first run of an ONNX model, in a process that may take little memory and a minute.

`python -m pipeline.trainers.onnx.trial FILE OUT SHAPES` runs FILE on random images of each shape of SHAPES (JSON), and
writes the outputs to OUT (.npz). A later batch begins with the images of the first.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.domain.limits import GIB
from pipeline.process.environment import child_environment
from pipeline.process.memory_limit import limit_memory
from pipeline.trainers.model_refusal import Reason, refused

MEMORY_BYTES = 4 * GIB  # a ViT-L takes 2.6 GiB
SECONDS = 60.0  # a ViT-L takes 4 s an image on a core
MAX_OUTPUT_VALUES = 16 * 1024**2  # a detector at 2048 px with 80 classes answers 7 million
_LISTED = 500  # characters of what a library says

Shape = tuple[int, int, int, int]


def try_model(file: Path, shapes: Sequence[Shape], work: Path) -> list[NDArray[np.float32]]:
    """The output for each shape (B, 3, height, width). Raises ModelRefused where the model cannot be run."""
    out, said = work / "outputs.npz", work / "trial.log"
    command = [sys.executable, "-m", "pipeline.trainers.onnx.trial", str(file), str(out), json.dumps(shapes)]
    with said.open("wb") as log:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(os.environ),
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise refused(Reason(file.name, f"It was still busy with a few images after {SECONDS:g} s.")) from error
    if done.returncode:
        raise refused(Reason(file.name, f"It cannot be run: {_last_words(said, done.returncode)}"))
    with np.load(out, allow_pickle=False) as outputs:
        return [outputs[f"arr_{index}"] for index in range(len(shapes))]


def _last_words(said: Path, status: int) -> str:
    with said.open("rb") as log:
        log.seek(max(0, said.stat().st_size - 20_000))
        lines = log.read().decode(errors="replace").strip().splitlines()
    ended = f"the process ended with signal {-status}" if status < 0 else "the process ended"
    return " ".join((lines[-1] if lines else ended).split())[:_LISTED]


def main(file: Path, out: Path, shapes: Sequence[Shape]) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    limit_memory(MEMORY_BYTES if soft == resource.RLIM_INFINITY else min(soft, MEMORY_BYTES))
    try:
        outputs = outputs_of(file, shapes)
    except MemoryError:
        return _refuse(f"it needs more than {MEMORY_BYTES // GIB} GiB of memory")
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises for a hostile file is its refusal
        return _refuse(f"{type(error).__name__}: {error}")
    np.savez(out, *outputs)
    return 0


def outputs_of(file: Path, shapes: Sequence[Shape]) -> list[NDArray[np.float32]]:
    """Raises ValueError for one that is too large, and what the runtime raises."""
    from pipeline.predictor.engines import OnnxRuntime

    engine, outputs = OnnxRuntime(file, threads=1), []
    for shape in shapes:
        output = engine.run(np.random.default_rng(0).random(shape, np.float32))
        if output.size > MAX_OUTPUT_VALUES:
            raise ValueError(f"{output.size} values of output, and at most {MAX_OUTPUT_VALUES} are read")
        outputs.append(output)
    return outputs


def _refuse(reason: str) -> int:
    sys.stdout.write(" ".join(reason.split())[:_LISTED] + "\n")
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), [tuple(shape) for shape in json.loads(sys.argv[3])]))
