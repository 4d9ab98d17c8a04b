"""The output of a child goes to a file: a full disk costs lines of the log, not the training that prints them."""

import io
import sys
from typing import Any

from pipeline.process.disk_full import is_full_disk


def keep_printing() -> None:
    """Replace stdout and stderr by streams to the same files that drop what a full disk refuses."""
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout, sys.stderr = _lossy(1), _lossy(2)


def _lossy(number: int) -> io.TextIOWrapper:
    raw = _LossyFile(number, "wb", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _LossyFile(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not is_full_disk(error):
                raise
            return memoryview(data).nbytes
