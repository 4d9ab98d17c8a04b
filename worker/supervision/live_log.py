"""The end of a child's log, told while it runs, by a thread that nothing waits for."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from core import clock
from core.domain.errors import OutOfSpace, Unavailable
from core.services.runs.logs import TAIL_BYTES

LOOK_SECONDS = 1.0
TELL_SECONDS = 5.0  # 64 KB every 5 s is 13 KB/s for each run: SQLite and PostgreSQL do not feel it

Note = Callable[[bytes, int], None]
log = structlog.get_logger(__name__)


class LiveLog:
    """A context. `note(tail, total_bytes)` gets at most TAIL_BYTES, when the log has grown, every TELL_SECONDS at most.

    The thread is not waited for: a database that does not answer must not keep an attempt from ending. What it writes
    late changes nothing: a log that is kept whole stays.
    """

    def __init__(self, path: Path, note: Note) -> None:
        self._path = path
        self._note = note
        self._over = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="live-log").start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        told_bytes, told_at = 0, float("-inf")
        while not self._over.wait(LOOK_SECONDS):
            if clock.monotonic() - told_at < TELL_SECONDS:
                continue
            tail, size = _end_of(self._path)
            if size == told_bytes:
                continue
            try:
                self._note(tail, size)
                told_bytes = size
            except (Unavailable, OutOfSpace) as error:
                log.warning("log.not_told", error=error.detail)  # the next time it is longer still
            except Exception:  # a log changes nothing about how a run goes
                log.exception("log.not_told")
            told_at = clock.monotonic()


def _end_of(path: Path) -> tuple[bytes, int]:
    """The last TAIL_BYTES, and the size of the whole; nothing where there is no file yet, or none any more."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read(TAIL_BYTES), size
    except OSError:
        return b"", 0
