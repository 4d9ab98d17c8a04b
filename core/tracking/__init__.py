"""The run tracker: where people look at runs side by side. It mirrors our rows and owns nothing.

Two implementations of one protocol: MLflow (`mlflow_tracker.py`, the only home of mlflow) and none (`null.py`).
Every call may be repeated: a crash between the tracker's answer and our row leads to the same run, not to a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from core.settings import Settings

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a run begins with. Times are milliseconds since the epoch, UTC."""

    run_id: str
    job_id: str
    job_name: str
    trainer: str
    params: Mapping[str, Any]
    fingerprint: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a curve."""

    name: str
    value: float
    step: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TrackedVersion:
    """A model version whose weights lie in the artifact folder `model` of the tracker's run."""

    job_id: str
    job_name: str
    number: int
    run_id: str
    tracked_id: str
    fingerprint: str


class TrackerRefused(Exception):
    """The tracker answered, and will never take this."""


class RunTracker(Protocol):
    """All methods raise `Unavailable` when the tracker does not answer and `TrackerRefused` when it says no."""

    def begin(self, run: TrackedRun) -> str:
        """Find or make the run; returns the tracker's own id of it. One that had ended runs again."""

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Add points of curves, and set tags. The same points again are one."""

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        """Copy a file into a folder of the run's artifacts; an empty name is the root."""

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None: ...

    def register(self, version: TrackedVersion) -> str:
        """Find or make a version of the job's registered model; returns the tracker's name of it."""

    def alias(self, job_id: str, alias: str, name: str) -> None:
        """Point an alias of the registered model at a version, by the tracker's name of it."""

    def remove_alias(self, job_id: str, alias: str) -> None:
        """Remove an alias of the registered model, if there is one."""


def open_tracker(settings: Settings) -> RunTracker:
    """The tracker that `DARKROOM_MLFLOW_URL` names; none where it is empty. Connects to nothing yet."""
    if settings.mlflow_url:
        from core.tracking.mlflow_tracker import open_mlflow  # 1 s and 170 MB

        return open_mlflow(settings.mlflow_url)
    from core.tracking.null import NullTracker

    return NullTracker()
