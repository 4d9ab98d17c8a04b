"""Deleting what can be deleted, a few rows at a time: the rows here, their objects after the commit.

Derived rows and versions are marked as deleted, and whoever deletes their objects notes that on them. A source and a
checkpoint have no such mark: once no row names them, only the returned prefixes do, and at last the sweep of orphans.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import (
    BatchPredictionRow,
    BundleRow,
    DatasetExportRow,
    EvaluationRow,
    ExportRow,
    JobRow,
    RunRow,
    VersionRow,
)
from core.db.transitions import change
from core.domain.keys import checkpoints_prefix
from core.domain.retention import FreeableKind
from core.services.jobs.derived import Derived, delete_derived_of_versions
from core.services.storage.freeable import FreeableRow, Scope, conditions, freeable, freeable_key

AT_ONCE = 100
Delete = Callable[[Session, Scope, list[str]], Mapping[str, list[str]]]  # -> prefixes by the ids that were deleted
_NO_CHECKPOINT: Mapping[str, Any] = dict.fromkeys(
    ("checkpoint_key", "checkpoint_epoch", "checkpoint_sha256", "checkpoint_bytes", "checkpoint_at")
)


@dataclass(frozen=True, slots=True)
class Freed:
    """What a transaction deleted. `prefixes`: of objects that no row names any more; they are to be deleted.

    `found`: rows that it looked at; 0: nothing is left.
    """

    found: int
    count: int
    bytes: int
    prefixes: Sequence[str]


def free_some(session: Session, kind: FreeableKind, scope: Scope, *, at_once: int = AT_ONCE) -> Freed:
    """In a transaction that has locked the project: so no alias moves, and nothing new begins to need a version."""
    rows = [
        FreeableRow(*row)
        for row in session.execute(freeable(kind, scope).order_by(freeable_key(kind)).limit(at_once)).all()
    ]
    deleted = _DELETING[kind](session, scope, [row.id for row in rows]) if rows else {}
    size = sum(row.bytes or 0 for row in rows if row.id in deleted)
    return Freed(len(rows), len(deleted), size, [prefix for prefixes in deleted.values() for prefix in prefixes])


def forget_checkpoints(
    session: Session, run_ids: Collection[str], where: Collection[ColumnElement[bool]]
) -> list[RunRow]:
    """Take the checkpoints from these runs, where they still meet the conditions. Returns the changed rows."""
    # Counts as mirrored for a tracker that has the whole run: it would get the whole run again.
    mirrored = case((RunRow.mirrored_at.is_not(None), RunRow.event_seq + 1), else_=RunRow.mirror_seq)
    values = {**_NO_CHECKPOINT, "purged_at": clock.now(), "mirror_seq": mirrored}
    changed = (change(session, RunRow, run_id, "purged", where=where, **values) for run_id in sorted(run_ids))
    return [run for run in changed if run is not None]


def checkpoint_prefixes(run: RunRow) -> list[str]:
    """Of each attempt at the run."""
    return [checkpoints_prefix(run.id, attempt) for attempt in range(1, run.attempt + 1)]


def _free_sources(session: Session, scope: Scope, ids: list[str]) -> Mapping[str, list[str]]:
    # Locked first: a repair that was requested meanwhile is seen by the statement that follows.
    locked = select(JobRow.id, JobRow.source_key).where(JobRow.id.in_(ids)).order_by(JobRow.id).with_for_update()
    keys = {job_id: key for job_id, key in session.execute(locked).all()}
    mine = (JobRow.id.in_(ids), *conditions(FreeableKind.SOURCES, scope))
    forget = update(JobRow).where(*mine).values(source_key=None).returning(JobRow.id)
    freed = session.execute(forget.execution_options(synchronize_session=False)).scalars().all()
    return {job_id: [key] for job_id in freed if (key := keys[job_id])}


def _free_checkpoints(session: Session, scope: Scope, ids: list[str]) -> Mapping[str, list[str]]:
    runs = forget_checkpoints(session, ids, conditions(FreeableKind.CHECKPOINTS, scope))
    return {run.id: checkpoint_prefixes(run) for run in runs}


def _free_versions(session: Session, scope: Scope, ids: list[str]) -> Mapping[str, list[str]]:
    at = clock.now()
    mine = (VersionRow.id.in_(ids), *conditions(FreeableKind.VERSIONS, scope))
    delete = update(VersionRow).where(*mine).values(deleted_at=at).returning(VersionRow.id, VersionRow.job_id)
    freed = session.execute(delete.execution_options(synchronize_session=False)).all()
    version_ids = [version_id for version_id, _ in freed]
    delete_derived_of_versions(session, version_ids, at=at)
    for job_id in sorted({job_id for _, job_id in freed if job_id}):
        _renumber(session, job_id)
    return {version_id: [] for version_id in version_ids}


def _renumber(session: Session, job_id: str) -> None:
    """The newest number of a job's own versions is that of one that exists."""
    living = (VersionRow.job_id == job_id, VersionRow.deleted_at.is_(None))
    newest = session.execute(select(func.coalesce(func.max(VersionRow.number), 0)).where(*living)).scalar_one()
    change(session, JobRow, job_id, "version", where=(JobRow.last_version != newest,), last_version=newest)


def _marking(table: type[Derived], kind: FreeableKind) -> Delete:
    key = freeable_key(kind)

    def mark(session: Session, scope: Scope, ids: list[str]) -> Mapping[str, list[str]]:
        mine = (key.in_(ids), *conditions(kind, scope))
        delete = update(table).where(*mine).values(deleted_at=clock.now()).returning(key)
        freed = session.execute(delete.execution_options(synchronize_session=False)).scalars().all()
        return {row_id: [] for row_id in freed}

    return mark


_DELETING: Mapping[FreeableKind, Delete] = {
    FreeableKind.VERSIONS: _free_versions,
    FreeableKind.SOURCES: _free_sources,
    FreeableKind.CHECKPOINTS: _free_checkpoints,
    FreeableKind.DATASET_EXPORTS: _marking(DatasetExportRow, FreeableKind.DATASET_EXPORTS),
    FreeableKind.EXPORTS: _marking(ExportRow, FreeableKind.EXPORTS),
    FreeableKind.BUNDLES: _marking(BundleRow, FreeableKind.BUNDLES),
    FreeableKind.EVALUATIONS: _marking(EvaluationRow, FreeableKind.EVALUATIONS),
    FreeableKind.BATCH_PREDICTIONS: _marking(BatchPredictionRow, FreeableKind.BATCH_PREDICTIONS),
}
