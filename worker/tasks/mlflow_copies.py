"""The copies in MLflow of a project, its runs, its versions and its aliases. Every call may be repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from core.db.tables import AliasRow, ArtifactRow, EventRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.states import RUN_ENDED, RunState
from core.services.context import Platform
from core.services.models.mlflow_notes import (
    note_alias_mirrored,
    note_job_forgotten,
    note_project_begun,
    note_project_forgotten,
    note_project_opened,
    note_project_updated,
    note_refused,
    note_run_complete,
    note_run_mirrored,
    note_version_forgotten,
    note_version_mirrored,
)
from core.services.models.mlflow_rows import Mirrored, project_row, rows_of_run, rows_of_version
from core.services.models.mlflow_sync import runs_in_tracker, versions_in_tracker
from core.services.models.versions import artifacts_of
from core.services.projects.names import log_names
from core.services.work.events import events_after
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.locked_files import locked
from core.tracking import (
    Point,
    ProjectCopy,
    RunTracker,
    Status,
    TrackedModel,
    TrackedProject,
    TrackedRun,
    TrackedVersion,
    TrackerRefused,
)
from worker.tasks.mlflow_pages import dataset_of, params_of, project_page, run_page, state_tags, version_page

PLOTS_FOLDER, LOG_FOLDER = "plots", "logs"

_STATUSES: Mapping[str, Status] = {
    RunState.SUCCEEDED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "KILLED",
}
log = structlog.get_logger(__name__)


class MlflowCopies:
    """Remembers, within one process, the attempts of runs that it has begun in MLflow."""

    def __init__(self, platform: Platform, tracker: RunTracker) -> None:
        self._platform = platform
        self._db = platform.db
        self._tracker = tracker
        self._public_url = platform.settings.public_url
        self._attempts: dict[str, int] = {}

    def update_project(self, project: ProjectRow, *, renew: Callable[[], None]) -> None:
        """After a change of the project: rename it, and write the pages that name it. `renew` renews the lock."""
        copy = self._opened(project)
        for run in runs_in_tracker(self._db, project.id):
            renew()
            self._tolerantly(run, partial(self._describe_run, run, copy))
        for version in versions_in_tracker(self._db, project.id):
            renew()
            self._tolerantly(version, partial(self._describe_version, version, copy))
        note_project_updated(self._db, project)
        log.info("project.mirrored", project=project.slug, name=copy.name)

    def mirror_run(self, run: RunRow) -> None:
        tracked_id = self._begun(run)
        seq = run.mirror_seq
        while events := events_after(self._db, run.id, seq=seq):
            points = [point for event in events for point in points_of(event)]
            self._tracker.log(tracked_id, points, state_tags(run))
            seq = events[-1].seq
            note_run_mirrored(self._db, run.id, mirror_seq=seq)
        if run.state in RUN_ENDED:
            self._end(run, tracked_id)
            note_run_complete(self._db, run)
            log.info("run.mirrored", run_id=run.id, tracked_id=tracked_id, **log_names(self._db, run.id))

    def mirror_version(self, version: VersionRow) -> None:
        model_id = version.mlflow_model_id
        rows = rows_of_version(self._db, version)
        if rows.run is None:
            tracked_id, model_id = self._mirror_imported(rows, version)
            rows = rows_of_version(self._db, version)  # its project may be new in MLflow
        else:
            tracked_id = str(rows.run.mlflow_run_id)
        tracked = TrackedVersion(
            project=self._tracked(rows.project),
            name=str(rows.project.mlflow_name),
            tracked_id=tracked_id,
            model_id=model_id,
            page=version_page(rows, public_url=self._public_url),
        )
        note_version_mirrored(self._db, version.id, mlflow_version=self._tracker.register(tracked))

    def move_alias(self, alias: AliasRow, model: str, version: str | None) -> None:
        """`version`: the tracker's name of it; None for an alias that was removed."""
        if version is None:
            self._tracker.remove_alias(model, alias.alias)
        else:
            self._tracker.alias(model, alias.alias, version)
        note_alias_mirrored(self._db, alias)

    def forget_version(self, version: VersionRow, tracked_id: str | None) -> None:
        """The run of an imported version is only of that version; another one keeps its curves."""
        if tracked_id is not None:
            project = self._tracked(project_row(self._db, version.project_id))
            self._tracker.forget_version(project, tracked_id, with_run=version.run_id is None)
        note_version_forgotten(self._db, version.id)
        log.info("version.forgotten", **log_names(self._db, version.id))

    def forget_job(self, job: JobRow) -> None:
        self._tracker.forget_job(self._tracked(project_row(self._db, job.project_id)), job.id)
        note_job_forgotten(self._db, job.id)
        log.info("job.forgotten", job_id=job.id, **log_names(self._db, job.id))

    def forget_project(self, project: ProjectRow) -> None:
        self._tracker.forget_project(self._tracked(project))
        note_project_forgotten(self._db, project.id)
        log.info("project.forgotten", project_id=project.id, project=project.slug)

    def _opened(self, project: ProjectRow) -> ProjectCopy:
        note_project_begun(self._db, project)
        copy = self._tracker.open_project(self._tracked(project))
        note_project_opened(self._db, project, experiment_id=copy.experiment_id, name=copy.name)
        if copy.name not in (project.slug, project.mlflow_name):
            log.warning("mlflow.name_taken", project=project.slug, name=copy.name)
        return copy

    def _tracked(self, project: ProjectRow) -> TrackedProject:
        return TrackedProject(
            project_id=project.id,
            page=project_page(project, public_url=self._public_url),
            former=f"job_{project.id.removeprefix('project_')}",
            experiment_id=project.mlflow_experiment_id,
            name=project.mlflow_name,
        )

    def _tolerantly(self, row: RunRow | VersionRow, describe: Callable[[], None]) -> None:
        """What MLflow refuses of one row, because it was deleted there, does not keep the others from their names."""
        try:
            describe()
        except TrackerRefused as error:
            log.error("mlflow.refused", id=row.id, error=str(error), **log_names(self._db, row.id))
            note_refused(self._db, row, str(error))

    def _describe_run(self, run: RunRow, copy: ProjectCopy) -> None:
        if run.mlflow_run_id is not None:
            page = run_page(rows_of_run(self._db, run), public_url=self._public_url)
            self._tracker.describe(run.mlflow_run_id, page)
            note_run_mirrored(self._db, run.id, mlflow_experiment_id=copy.experiment_id)

    def _describe_version(self, version: VersionRow, copy: ProjectCopy) -> None:
        rows = rows_of_version(self._db, version)
        if version.mlflow_run_id is not None:
            self._tracker.describe(version.mlflow_run_id, run_page(rows, public_url=self._public_url))
        page = version_page(rows, public_url=self._public_url)
        self._tracker.describe_version(copy.name, str(version.mlflow_version), version.mlflow_model_id, page)

    def _begun(self, run: RunRow) -> str:
        """The tracker's id of the run, requested once per attempt."""
        known = self._attempts.get(run.id)
        if known is not None and known == run.attempt and run.mlflow_run_id is not None:
            return run.mlflow_run_id
        rows = rows_of_run(self._db, run)
        experiment_id = self._opened(rows.project).experiment_id
        tracked_id = self._tracker.begin(
            TrackedRun(
                identity=("run", run.id),
                experiment_id=experiment_id,
                tracked_id=run.mlflow_run_id,
                page=run_page(rows, public_url=self._public_url),
                params=run.params,
                dataset=dataset_of(rows),
                started_ms=_ms(run.started_at or run.created_at),
            )
        )
        note_run_mirrored(self._db, run.id, mlflow_run_id=tracked_id, mlflow_experiment_id=experiment_id)
        self._attempts[run.id] = run.attempt
        return tracked_id

    def _end(self, run: RunRow, tracked_id: str) -> None:
        """The files and the last numbers, then the status: its being there means complete."""
        at = run.finished_at or run.updated_at
        rows = rows_of_run(self._db, run)
        if rows.version is not None and rows.version.deleted_at is None:
            self._keep_version(rows, rows.version, tracked_id, at)
        if run.log_key is not None:
            with self._fetched(run.log_key, "train.log") as path:
                if path is not None:
                    self._tracker.keep(tracked_id, path, LOG_FOLDER)
        self._tracker.describe(tracked_id, run_page(rows, public_url=self._public_url))
        self._tracker.finish(tracked_id, _STATUSES[RunState(run.state)], at_ms=_ms(at))
        self._attempts.pop(run.id, None)

    def _mirror_imported(self, rows: Mirrored, version: VersionRow) -> tuple[str, str]:
        """A run in MLflow stands for it, because MLflow compares runs and keeps results by run: its id, the model's."""
        experiment_id = self._opened(rows.project).experiment_id
        page = run_page(rows, public_url=self._public_url)
        tracked_id = self._tracker.begin(
            TrackedRun(
                identity=("version_id", version.id),
                experiment_id=experiment_id,
                tracked_id=version.mlflow_run_id,
                page=page,
                params=params_of(version),
                dataset=dataset_of(rows),
                started_ms=_ms(version.created_at),
            )
        )
        note_version_mirrored(self._db, version.id, mlflow_run_id=tracked_id)
        rows = rows_of_version(self._db, version)  # its project may be new in MLflow
        model_id = self._keep_version(rows, version, tracked_id, version.created_at)
        self._tracker.finish(tracked_id, "FINISHED", at_ms=_ms(version.created_at))
        return tracked_id, model_id

    def _keep_version(self, rows: Mirrored, version: VersionRow, tracked_id: str, at: datetime) -> str:
        """Weights and results in a logged model, plots and tables in its run. Returns the model's id."""
        model_id = self._tracker.begin_model(
            TrackedModel(
                version_id=version.id,
                experiment_id=str(rows.project.mlflow_experiment_id),
                tracked_id=tracked_id,
                page=version_page(rows, public_url=self._public_url),
                params=params_of(version),
                trainer=version.trainer,
            )
        )
        note_version_mirrored(self._db, version.id, mlflow_model_id=model_id)
        self._keep_artifacts(version, artifacts_of(self._db, [version.id])[version.id], tracked_id, model_id)
        points = [Point(path, value, 0, _ms(at)) for path, value in numbers_in(version.metrics)]
        self._tracker.finish_model(model_id, tracked_id, points, dataset_of(rows))
        return model_id

    def _keep_artifacts(
        self, version: VersionRow, artifacts: Sequence[ArtifactRow], tracked_id: str, model_id: str
    ) -> None:
        for artifact in artifacts:
            with self._fetched(artifact.key, artifact.name) as path:
                if path is None:
                    continue
                if artifact.name in (version.weights_name, "model.json"):
                    self._tracker.keep_in_model(model_id, path)
                else:
                    folder = PLOTS_FOLDER if artifact.name.endswith((".png", ".jpg")) else ""
                    self._tracker.keep(tracked_id, path, folder)

    @contextmanager
    def _fetched(self, key: str, name: str) -> Iterator[Path | None]:
        """A temporary copy of an object; None when it was deleted with its job, or is damaged: nothing to display."""
        temp = self._platform.settings.temp
        temp.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="mlflow-", dir=temp) as scratch, locked(Path(scratch)):
            path: Path | None = Path(scratch) / name
            try:
                self._platform.store.fetch(key, Path(scratch) / name)
            except (ObjectMissing, ObjectCorrupt) as error:
                log.warning("mlflow.object_missing", key=key, error=str(error)[:200])
                path = None
            yield path


def points_of(event: EventRow) -> list[Point]:
    """The curves' points in an event: metrics by epoch, samples of the system by the event's number."""
    at_ms = _ms(event.at)
    progress, system = event.data.get("progress") or {}, event.data.get("system") or {}
    metrics = [
        Point((*name.split("/"),), float(value), int(progress["epoch"]), at_ms)
        for name, value in (progress.get("metrics") or {}).items()
        if value is not None
    ]
    return metrics + [Point(("system", name), float(value), event.seq, at_ms) for name, value in system.items()]


def numbers_in(metrics: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], float]]:
    """Every number of a nested object, by its path: `("test", "per_class", "star", "mAP50")`."""
    numbers: list[tuple[tuple[str, ...], float]] = []
    for name, value in sorted(metrics.items()):
        if isinstance(value, Mapping):
            numbers += numbers_in(value, (*prefix, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(((*prefix, name), float(value)))
    return numbers


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
