"""The end of a child's log, written to the database while it runs, by a thread that nothing waits for."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from core import clock
from core.domain.errors import OutOfSpace, Unavailable
from core.services.runs.logs import TAIL_BYTES
from core.services.work.leases import ClaimLost

CHECK_SECONDS = 1.0
REPORT_SECONDS = 5.0  # 64 KB every 5 s is 13 KB/s for each run: SQLite and PostgreSQL do not feel it

Note = Callable[[bytes, int], None]
log = structlog.get_logger(__name__)


class LiveLog:
    """A context. `note(tail, total_bytes)` gets at most TAIL_BYTES, when it has grown, every REPORT_SECONDS at most.

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
        reported_bytes, reported_at = 0, float("-inf")
        while not self._over.wait(CHECK_SECONDS):
            if clock.monotonic() - reported_at < REPORT_SECONDS:
                continue
            tail, size = _end_of(self._path)
            if size == reported_bytes:
                continue
            try:
                self._note(tail, size)
                reported_bytes = size
            except ClaimLost:  # for good: what follows belongs to another attempt
                log.warning("log.not_reported", error="the claim is lost")
                return
            except (Unavailable, OutOfSpace) as error:
                log.warning("log.not_reported", error=error.detail)  # the next time it is longer still
            except Exception:  # a log never changes how a run goes
                log.exception("log.not_reported")
            reported_at = clock.monotonic()


def _end_of(path: Path) -> tuple[bytes, int]:
    """The last TAIL_BYTES, and the size of the whole; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read(TAIL_BYTES), size
    except OSError:
        return b"", 0
