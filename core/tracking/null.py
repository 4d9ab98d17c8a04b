"""No tracker: every call is accepted and nothing is stored. The rows are the truth with or without a tracker."""
# ruff: noqa: ARG002 - the arguments are the protocol's

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.tracking import Point, Status, TrackedRun, TrackedVersion


class NullTracker:
    def begin(self, run: TrackedRun) -> str:
        return run.run_id

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        return

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        return

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None:
        return

    def register(self, version: TrackedVersion) -> str:
        return str(version.number)

    def alias(self, job_id: str, alias: str, name: str) -> None:
        return

    def remove_alias(self, job_id: str, alias: str) -> None:
        return

    def forget(self, job_id: str) -> None:
        return
