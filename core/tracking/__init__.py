"""The run tracker, in which people compare runs. It mirrors the rows and owns nothing.

Two implementations of one protocol: MLflow (`mlflow_tracker.py` and the `mlflow_...` modules beside it, which alone
import mlflow) and none (`null.py`). Every call may be repeated: after a crash between the tracker's answer and the
commit of the row, the same call leads to the same run, not to a second one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from core.settings import Settings

__all__ = [
    "Page",
    "Point",
    "ProjectCopy",
    "RunTracker",
    "Status",
    "TrackedDataset",
    "TrackedModel",
    "TrackedProject",
    "TrackedRun",
    "TrackedVersion",
    "TrackerRefused",
    "open_tracker",
]

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class Page:
    """What people read of something: its name, a description in Markdown, and tags."""

    name: str
    note: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrackedProject:
    """A project. `page.name` is its slug; the rest is what the rows know of its copy.

    `former`: the name of its experiment and its registered model in copies made before there were projects.
    """

    project_id: str
    page: Page
    former: str
    experiment_id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class ProjectCopy:
    """A project in the tracker. `name`: its slug, or with a suffix where something else has that name."""

    experiment_id: str
    name: str


@dataclass(frozen=True, slots=True)
class TrackedDataset:
    name: str
    digest: str
    images: int
    use: Literal["training", "evaluation"]
    source: str  # JSON


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run at its start. `identity`: the tag by which it is found. Times are milliseconds since the epoch, UTC."""

    identity: tuple[str, str]
    experiment_id: str
    tracked_id: str | None  # the tracker's id, where a row knows it
    page: Page
    params: Mapping[str, Any]
    dataset: TrackedDataset | None
    started_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a curve. `path`: the parts of the metric's name, such as `("test", "per_class", "a/b", "f1")`."""

    path: tuple[str, ...]
    value: float
    step: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TrackedModel:
    """The files of a version, which the tracker's run `tracked_id` produced."""

    version_id: str
    experiment_id: str
    tracked_id: str
    page: Page
    params: Mapping[str, Any]
    trainer: str


@dataclass(frozen=True, slots=True)
class TrackedVersion:
    """A version to register. `model_id` None: its files are in the folder `model` of the run, as in older copies."""

    project: TrackedProject
    name: str  # of the registered model
    tracked_id: str
    model_id: str | None
    page: Page


class TrackerRefused(Exception):
    """The tracker rejects this call permanently."""


class RunTracker(Protocol):
    """All methods raise `Unavailable` when the tracker does not answer, `TrackerRefused` when it rejects the call."""

    def open_project(self, project: TrackedProject) -> ProjectCopy:
        """Find, make, rename or restore the project's experiment, and rename its registered model if there is one."""

    def begin(self, run: TrackedRun) -> str:
        """Find or create the run; returns the tracker's id of it. A run that had ended is set to running again."""

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Add points of curves, and set tags. Repeated points are stored once."""

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        """Copy a file into a folder of the run's artifacts; an empty name is the root."""

    def describe(self, tracked_id: str, page: Page) -> None:
        """Set the name, the description and the tags of a run; the tags of older copies are removed."""

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None: ...

    def begin_model(self, model: TrackedModel) -> str:
        """Find or create the model that a run produced; returns the tracker's id of it."""

    def keep_in_model(self, model_id: str, file: Path) -> None:
        """Copy a file into the model's artifacts."""

    def finish_model(
        self, model_id: str, tracked_id: str, points: Sequence[Point], dataset: TrackedDataset | None
    ) -> None:
        """Add the results of the model, measured on a dataset, to it and to its run, and mark it as ready."""

    def register(self, version: TrackedVersion) -> str:
        """Find or create a version of the project's registered model; returns the tracker's name of it."""

    def describe_version(self, model: str, name: str, model_id: str | None, page: Page) -> None:
        """Set the description and the tags of a registered version, and of the model behind it."""

    def alias(self, model: str, alias: str, name: str) -> None:
        """Point an alias of a registered model at a version, by the tracker's name of it."""

    def remove_alias(self, model: str, alias: str) -> None:
        """Remove an alias of a registered model, if there is one."""

    def forget_version(self, project: TrackedProject, tracked_id: str, *, with_run: bool) -> None:
        """Delete the registered version, the models and the artifacts of a run; `with_run`, mark it as deleted too."""

    def forget_job(self, project: TrackedProject, job_id: str) -> None:
        """Delete the registered versions, models and artifacts of the job's runs, and mark the runs as deleted."""

    def forget_project(self, project: TrackedProject) -> None:
        """Delete the registered model, and all models and artifacts; mark the experiment as deleted."""


def open_tracker(settings: Settings) -> RunTracker:
    """The tracker that `DARKROOM_MLFLOW_URL` names; none where it is empty. Connects to nothing yet."""
    if settings.mlflow_url:
        from core.tracking.mlflow_tracker import open_mlflow  # takes 1 s and 170 MB to import

        return open_mlflow(settings.mlflow_url)
    from core.tracking.null import NullTracker

    return NullTracker()
