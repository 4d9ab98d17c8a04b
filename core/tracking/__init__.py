"""The run tracker, in which people compare runs. It mirrors the rows and owns nothing.

Two implementations of one protocol: MLflow (`mlflow_tracker.py`, the only file that imports mlflow) and none
(`null.py`). Every call may be repeated: after a crash between the tracker's answer and the commit of the row, the same
call leads to the same run, not to a second one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from core.settings import Settings

__all__ = [
    "Point",
    "RunTracker",
    "Status",
    "TrackedRun",
    "TrackedVersion",
    "TrackerRefused",
    "open_tracker",
]

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run at its start. Times are milliseconds since the epoch, UTC."""

    run_id: str
    job_id: str
    job_name: str
    trainer: str
    params: Mapping[str, Any]
    fingerprint: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a curve. `path`: the parts of the metric's name, such as `("test", "per_class", "a/b", "f1")`."""

    path: tuple[str, ...]
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
    """The tracker rejects this call permanently."""


class RunTracker(Protocol):
    """All methods raise `Unavailable` when the tracker does not answer, `TrackerRefused` when it rejects the call."""

    def begin(self, run: TrackedRun) -> str:
        """Find or create the run; returns the tracker's id of it. A run that had ended is set to running again."""

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Add points of curves, and set tags. Repeated points are stored once."""

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        """Copy a file into a folder of the run's artifacts; an empty name is the root."""

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None: ...

    def register(self, version: TrackedVersion) -> str:
        """Find or create a version of the job's registered model; returns the tracker's name of it."""

    def alias(self, job_id: str, alias: str, name: str) -> None:
        """Point an alias of the registered model at a version, by the tracker's name of it."""

    def remove_alias(self, job_id: str, alias: str) -> None:
        """Remove an alias of the registered model, if there is one."""

    def forget(self, job_id: str) -> None:
        """Delete the job's registered model and the artifacts of its runs, and mark the runs as deleted."""


def open_tracker(settings: Settings) -> RunTracker:
    """The tracker that `DARKROOM_MLFLOW_URL` names; none where it is empty. Connects to nothing yet."""
    if settings.mlflow_url:
        from core.tracking.mlflow_tracker import open_mlflow  # takes 1 s and 170 MB to import

        return open_mlflow(settings.mlflow_url)
    from core.tracking.null import NullTracker

    return NullTracker()
