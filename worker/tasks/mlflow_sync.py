"""Copies rows to MLflow: changed projects, runs from their events, versions in order, aliases; then deletes there.

Nothing waits for it: when MLflow is down, runs train and publish all the same, and this catches up.
"""

from collections.abc import Callable
from functools import cached_property, partial

import structlog

from core import clock
from core.db.tables import AliasRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.models.mlflow_notes import Refusable, note_refused
from core.services.models.mlflow_sync import (
    aliases_to_mirror,
    jobs_to_forget,
    projects_to_forget,
    projects_to_update,
    runs_to_mirror,
    versions_to_forget,
    versions_to_mirror,
)
from core.services.projects.names import log_names
from core.services.work.leases import ClaimLost
from core.services.work.locks import take_lock
from core.tracking import RunTracker, TrackerRefused, open_tracker
from worker.tasks.mlflow_copies import MlflowCopies

LOCK = "mlflow"
LOCK_SECONDS = 120.0  # renewed at each step; the longest step is the upload of one file of weights
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 2.0, 60.0

log = structlog.get_logger(__name__)


class MlflowSync:
    """Remembers, within one process, that MLflow is down and which rows it refused.

    The rows keep the reason of a refusal; the next process tries them again.
    """

    def __init__(self, platform: Platform, holder: str, tracker: RunTracker | None = None) -> None:
        self._platform = platform
        self._holder = holder
        self._tracker = tracker
        self._refused: set[str] = set()
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

    @cached_property
    def _copies(self) -> MlflowCopies:
        """Made for the first row to copy: an idle stack spares the time and the memory that mlflow takes."""
        return MlflowCopies(self._platform, self._tracker or open_tracker(self._platform.settings))

    def _round(self) -> None:
        db, refused = self._platform.db, self._refused
        for project in projects_to_update(db, but_not=refused):
            self._sync_one(
                project.id, partial(self._copies.update_project, project, renew=self._take_lock), row=project
            )
        for run in runs_to_mirror(db, but_not=refused):
            self._sync_one(run.id, partial(self._copies.mirror_run, run), row=run)
        while versions := versions_to_mirror(db, but_not=refused):  # of each project the next one
            for version in versions:
                self._sync_one(version.id, partial(self._copies.mirror_version, version), row=version)
        for alias, model, name in aliases_to_mirror(db):
            self._sync_one(_move_of(alias), partial(self._copies.move_alias, alias, model, name))
        for version, tracked_id in versions_to_forget(db, but_not=refused):
            self._sync_one(version.id, partial(self._copies.forget_version, version, tracked_id), row=version)
        for job in jobs_to_forget(db, but_not=refused):
            self._sync_one(job.id, partial(self._copies.forget_job, job), row=job)
        for project in projects_to_forget(db, but_not=refused):
            self._sync_one(project.id, partial(self._copies.forget_project, project), row=project)

    def _sync_one(self, subject: str, sync: Callable[[], None], *, row: Refusable | None = None) -> None:
        """`row`: the one that keeps the reason of a refusal."""
        if subject in self._refused:
            return
        self._take_lock()
        try:
            sync()
        except TrackerRefused as error:  # it would refuse again, and the others must not wait behind it
            self._refused.add(subject)
            log.error("mlflow.refused", id=subject, error=str(error), **log_names(self._platform.db, subject))
            if row is not None:
                note_refused(self._platform.db, row, str(error))

    def _take_lock(self) -> None:
        """Take or renew the lock. Raises ClaimLost when another process has it."""
        if not take_lock(self._platform.db, LOCK, self._holder, seconds=LOCK_SECONDS):
            raise ClaimLost

    def _wait_longer(self, error: Unavailable) -> None:
        if not self._pause_seconds:
            log.warning("mlflow.unavailable", error=error.detail, **error.facts)  # once, not at each try
        self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), LAST_PAUSE_SECONDS)
        self._not_before = clock.monotonic() + self._pause_seconds


def _move_of(alias: AliasRow) -> str:
    return f"{alias.project_id} {alias.alias} {alias.number}"
