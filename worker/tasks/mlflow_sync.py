"""Copies rows to MLflow: runs from their events, then versions in order, then aliases; then deletes deleted jobs there.

Nothing waits for it: when MLflow is down, runs train and publish all the same, and this catches up.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from core import clock
from core.db.tables import AliasRow, EventRow, RunRow, VersionRow
from core.domain.errors import Unavailable
from core.domain.states import RUN_ENDED, RunState
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.models.mlflow_sync import (
    aliases_to_mirror,
    aliases_to_remove,
    jobs_to_forget,
    note_alias_mirrored,
    note_job_forgotten,
    note_refused,
    note_run_complete,
    note_run_mirrored,
    note_version_mirrored,
    runs_to_mirror,
    version_of_run,
    versions_to_mirror,
)
from core.services.models.versions import artifacts_of
from core.services.work.events import events_after
from core.services.work.leases import ClaimLost
from core.services.work.locks import take_lock
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.locked_files import locked
from core.tracking import Point, RunTracker, Status, TrackedRun, TrackedVersion, TrackerRefused, open_tracker

LOCK = "mlflow"
LOCK_SECONDS = 120.0  # renewed at each step; the longest step is the upload of one file of weights
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 2.0, 60.0
MODEL_FOLDER, PLOTS_FOLDER, LOG_FOLDER = "model", "plots", "logs"

_STATUSES: Mapping[str, Status] = {
    RunState.SUCCEEDED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "KILLED",
}
log = structlog.get_logger(__name__)


class MlflowSync:
    """Remembers, within one process, that MLflow is down and which rows it refused.

    The rows keep the reason of a refusal; the next process tries them again.
    """

    def __init__(self, platform: Platform, holder: str, tracker: RunTracker | None = None) -> None:
        self._platform = platform
        self._holder = holder
        self._tracker = tracker or open_tracker(platform.settings)
        self._refused: set[str] = set()
        self._attempts: dict[str, int] = {}
        self._pause_seconds = 0.0
        self._not_before = 0.0

    def __call__(self) -> None:
        """One round. An MLflow that is down or refuses raises nothing."""
        if clock.monotonic() < self._not_before:
            return
        try:
            self._round()
        except ClaimLost:
            return  # another process syncs
        except Unavailable as error:
            self._wait_longer(error)
            return
        if self._pause_seconds:
            log.info("mlflow.caught_up")
        self._pause_seconds = 0.0

    def _round(self) -> None:
        db = self._platform.db
        for run in runs_to_mirror(db, but_not=self._refused):
            self._sync_one(run.id, partial(self._mirror_run, run), row=run)
        for version, run in versions_to_mirror(db, but_not=self._refused):
            self._sync_one(version.id, partial(self._mirror_version, version, run), row=version)
        for alias, version in aliases_to_mirror(db):
            self._sync_one(_move_of(alias), partial(self._mirror_alias, alias, version))
        for alias in aliases_to_remove(db):
            self._sync_one(_move_of(alias), partial(self._remove_alias, alias))
        for job_id in jobs_to_forget(db, but_not=self._refused):
            self._sync_one(job_id, partial(self._forget, job_id))

    def _sync_one(self, subject: str, sync: Callable[[], None], *, row: RunRow | VersionRow | None = None) -> None:
        """`row`: the one that keeps the reason of a refusal."""
        if subject in self._refused:
            return
        if not take_lock(self._platform.db, LOCK, self._holder, seconds=LOCK_SECONDS):
            raise ClaimLost
        try:
            sync()
        except TrackerRefused as error:  # it would refuse again, and the others must not wait behind it
            self._refused.add(subject)
            log.error("mlflow.refused", id=subject, error=str(error))
            if row is not None:
                note_refused(self._platform.db, row, str(error))

    def _mirror_run(self, run: RunRow) -> None:
        db = self._platform.db
        tracked_id = self._begun(run)
        seq = run.mirror_seq
        while events := events_after(db, run.id, seq=seq):
            points = [point for event in events for point in points_of(event)]
            self._tracker.log(tracked_id, points, tags_of(run))
            seq = events[-1].seq
            note_run_mirrored(db, run.id, mirror_seq=seq)
        if run.state in RUN_ENDED:
            self._end(run, tracked_id)
            note_run_complete(db, run)
            log.info("run.mirrored", run_id=run.id, tracked_id=tracked_id)

    def _begun(self, run: RunRow) -> str:
        """The tracker's id of the run, requested once per attempt."""
        known = self._attempts.get(run.id)
        if known is not None and known == run.attempt and run.mlflow_run_id is not None:
            return run.mlflow_run_id
        started = run.started_at or run.created_at
        tracked_id = self._tracker.begin(
            TrackedRun(
                run_id=run.id,
                job_id=run.job_id,
                job_name=self._job_name(run.job_id),
                trainer=run.trainer,
                params=run.params,
                fingerprint=run.fingerprint,
                started_ms=_ms(started),
            )
        )
        note_run_mirrored(self._platform.db, run.id, mlflow_run_id=tracked_id)
        self._attempts[run.id] = run.attempt
        return tracked_id

    def _end(self, run: RunRow, tracked_id: str) -> None:
        """The files and the last numbers, then the status: its being there means complete."""
        at_ms = _ms(run.finished_at or run.updated_at)
        version = version_of_run(self._platform.db, run.id)
        if version is not None:
            points = [Point(path, value, 0, at_ms) for path, value in numbers_in(version.metrics)]
            self._tracker.log(tracked_id, points, {"darkroom_version": f"v{version.number}"})
            for artifact in artifacts_of(self._platform.db, [version.id])[version.id]:
                self._keep(tracked_id, artifact.key, artifact.name, _folder_of(artifact.name, version.weights_name))
        if run.log_key is not None:
            self._keep(tracked_id, run.log_key, "train.log", LOG_FOLDER)
        self._tracker.finish(tracked_id, _STATUSES[RunState(run.state)], at_ms=at_ms)
        self._attempts.pop(run.id, None)

    def _keep(self, tracked_id: str, key: str, name: str, folder: str) -> None:
        temp = self._platform.settings.temp
        temp.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="mlflow-", dir=temp) as scratch, locked(Path(scratch)):
            path = Path(scratch) / name
            try:
                self._platform.store.fetch(key, path)
            except (
                ObjectMissing,
                ObjectCorrupt,
            ) as error:  # deleted with its job, or damaged: there is nothing to show
                log.warning("mlflow.object_missing", key=key, error=str(error)[:200])
                return
            self._tracker.keep(tracked_id, path, folder)

    def _mirror_version(self, version: VersionRow, run: RunRow) -> None:
        if run.mlflow_run_id is None:
            return
        tracked = TrackedVersion(
            job_id=run.job_id,
            job_name=self._job_name(run.job_id),
            number=version.number,
            run_id=run.id,
            tracked_id=run.mlflow_run_id,
            fingerprint=run.fingerprint,
        )
        note_version_mirrored(self._platform.db, version.id, self._tracker.register(tracked))

    def _mirror_alias(self, alias: AliasRow, version: VersionRow) -> None:
        self._tracker.alias(_model_of(alias), alias.alias, str(version.mlflow_version))
        note_alias_mirrored(self._platform.db, alias)

    def _remove_alias(self, alias: AliasRow) -> None:
        self._tracker.remove_alias(_model_of(alias), alias.alias)
        note_alias_mirrored(self._platform.db, alias)

    def _forget(self, job_id: str) -> None:
        self._tracker.forget(job_id)
        note_job_forgotten(self._platform.db, job_id)
        log.info("job.forgotten", job_id=job_id)

    def _job_name(self, job_id: str) -> str:
        return get_job(self._platform.db, job_id, allow_deleted=True).name

    def _wait_longer(self, error: Unavailable) -> None:
        if not self._pause_seconds:
            log.warning("mlflow.unavailable", error=error.detail, **error.facts)  # once, not at each try
        self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), LAST_PAUSE_SECONDS)
        self._not_before = clock.monotonic() + self._pause_seconds


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


def tags_of(run: RunRow) -> dict[str, str]:
    """What people filter runs by."""
    problem = run.problem or {}
    tags = {"darkroom_attempt": str(run.attempt), "darkroom_state": run.state}
    tags |= {f"darkroom_note_{name}": str(text) for name, text in sorted((run.notes or {}).items())}
    return tags | ({"darkroom_problem": problem["slug"], "darkroom_detail": problem["detail"]} if problem else {})


def numbers_in(metrics: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], float]]:
    """Every number of a nested object, by its path: `("test", "per_class", "star", "mAP50")`."""
    numbers: list[tuple[tuple[str, ...], float]] = []
    for name, value in sorted(metrics.items()):
        if isinstance(value, Mapping):
            numbers += numbers_in(value, (*prefix, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(((*prefix, name), float(value)))
    return numbers


def _move_of(alias: AliasRow) -> str:
    return f"{alias.project_id} {alias.alias} {alias.number}"


def _model_of(alias: AliasRow) -> str:
    return f"job_{alias.project_id.removeprefix('project_')}"


def _folder_of(name: str, weights_name: str) -> str:
    if name in (weights_name, "model.json"):
        return MODEL_FOLDER
    return PLOTS_FOLDER if name.endswith((".png", ".jpg")) else ""


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
