"""How far a download is, written to the row of its job."""

from typing import Any

from core import clock
from core.domain.errors import Unavailable
from worker.tasks.attempt import Attempt
from worker.tasks.stage_reporter import PROGRESS_SECONDS


class BytesReporter:
    """Reports the bytes fetched, at most once a second. A report that the database does not take is dropped."""

    def __init__(self, attempt: Attempt[Any], *, total: int | None = None) -> None:
        self._attempt = attempt
        self._total = total
        self._done = 0
        self._reported_at = float("-inf")

    def add(self, count: int) -> None:
        self.at(self._done + count, self._total)

    def at(self, done: int, total: int | None) -> None:
        """`total`: as far as it is known. Raises ClaimLost."""
        self._done = done
        now = clock.monotonic()
        if now - self._reported_at < PROGRESS_SECONDS:
            return
        self._reported_at = now
        try:
            self._attempt.report(progress={"done": done, "total": max(done, total or 0)})
        except Unavailable:
            return
