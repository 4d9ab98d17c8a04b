"""The exported file in a clean process, asked line by line; see `pipeline.predictor.process`."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


class PredictorDied(RuntimeError):
    """The process of the exported file ended."""


class ExportedProcess:
    """`about`: what the process says of itself: engine, precision, frameworks, and the `output` of the description."""

    def __init__(self, child: "subprocess.Popen[str]", scratch: Path) -> None:
        self._child = child
        self._scratch = scratch
        self.about = self._read()

    def predict(self, image: Path, *, min_score: float | None = None) -> dict[str, Any]:
        return self._ask(image=str(image), min_score=min_score)

    def input_of(self, image: Path) -> NDArray[np.float32] | None:
        """(3, height, width); None where the image cannot be read."""
        answer = self._ask(input=str(image), to=str(self._scratch / "input.npy"))
        return np.load(answer["values"]) if "values" in answer else None

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The output for (B, 3, height, width); None where the model refuses it."""
        file = self._scratch / "batch.npy"
        np.save(file, batch)
        answer = self._ask(raw=str(file))
        return np.load(answer["output"]) if "output" in answer else None

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._child.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._child.stdout is not None  # noqa: S101 - as above
        line = self._child.stdout.readline()
        if not line:
            raise PredictorDied(f"The export cannot be run: its process ended with {self._child.wait()}.")
        return cast(dict[str, Any], json.loads(line))


@contextmanager
def running(command: Sequence[str], scratch: Path) -> Iterator[ExportedProcess]:
    """Raises PredictorDied where it does not start."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield ExportedProcess(child, scratch)
        finally:
            child.kill()
