"""What a command without epochs reports, written to the row of its job or operation."""

from collections.abc import Mapping
from typing import Any

from core import clock
from worker.tasks.attempt import Attempt

PROGRESS_SECONDS = 1.0  # each report is kept as an event: more than one a second is of no use to people


class StageReporter:
    """Reports stages at once, and progress within a stage at most once a second."""

    def __init__(self, attempt: Attempt[Any]) -> None:
        self._attempt = attempt
        self._reported_at = float("-inf")

    def report(self, line: Mapping[str, Any]) -> None:
        """Raises ClaimLost, Unavailable."""
        now = clock.monotonic()
        if line.get("type") == "stage":
            self._attempt.report(stage=line["stage"], progress=None)
        elif line.get("type") == "progress" and now - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            self._attempt.report(progress={"done": line["done"], "total": line["total"]})
