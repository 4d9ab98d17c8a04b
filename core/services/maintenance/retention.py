"""Finding and deleting rows that nothing needs any more. The worker deletes their objects.

A prepared set is deleted in three steps, so that no job ever names a deleted object: its row is locked and marked
`deleting`, then the object is deleted, then the row. `complete_job` takes the same lock and puts the object again.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import (
    ArtifactRow,
    BatchPredictionArtifactRow,
    BundleRow,
    DatasetExportRow,
    DatasetRow,
    EvaluationArtifactRow,
    ExportRow,
    JobRow,
    OperationRow,
    RunLogRow,
    RunRow,
    TestSetRow,
    UploadPartRow,
    WorkerRow,
)
from core.db.transitions import change
from core.domain.keys import UPLOADS, dataset_key, metadata_key_beside, owner_of, thumbnail_of
from core.domain.states import JOB_ENDED, RUN_ACTIVE, RUN_ENDED, JobState
from core.services.jobs.extension import needing_inputs
from core.services.jobs.lifecycle import DELETING, LIVE
from core.services.storage.freeable import Where, drafted_jobs, frozen_jobs
from core.services.storage.freeing import checkpoint_prefixes, forget_checkpoints

_AT_ONCE = 100


def jobs_to_purge(db: Database) -> list[tuple[str, list[str]]]:
    """Deleted jobs whose objects still exist, with the ids of their runs; none with active work."""
    active = (
        exists().where(table.job_id == JobRow.id, table.state.in_(_texts(RUN_ACTIVE)))
        for table in (RunRow, OperationRow)
    )
    deleted = (JobRow.deleted_at.is_not(None), JobRow.erased_at.is_(None), JobRow.purged_at.is_(None))
    with db.reading() as session:
        job_ids = list(session.execute(select(JobRow.id).where(*deleted, ~or_(*active)).limit(_AT_ONCE)).scalars())
        runs = session.execute(select(RunRow.job_id, RunRow.id).where(RunRow.job_id.in_(job_ids))).all()
    return [(job_id, [run_id for owner, run_id in runs if owner == job_id]) for job_id in job_ids]


def note_job_purged(db: Database, job_id: str) -> None:
    """Record that the job's objects are deleted; drop its prepared set and the logs of its runs."""
    runs = select(RunRow.id).where(RunRow.job_id == job_id)
    with db.transaction() as session:
        session.execute(delete(RunLogRow).where(RunLogRow.run_id.in_(runs)))
        change(session, JobRow, job_id, "purged", fingerprint=None, purged_at=clock.now())


def unused_sets(db: Database) -> list[DatasetRow]:
    """Prepared sets that no job names, and those whose deletion has begun and is not finished."""
    unused = ~exists().where(JobRow.fingerprint == DatasetRow.fingerprint)
    with db.reading() as session:
        statement = select(DatasetRow).where(or_(DatasetRow.state == DELETING, unused)).limit(_AT_ONCE)
        return list(session.execute(statement).scalars())


def begin_deleting_set(db: Database, fingerprint: str) -> bool:
    """Mark an unused set as being deleted, under its row's lock. False: a job uses it by now."""
    with db.transaction() as session:
        row = session.execute(
            select(DatasetRow).where(DatasetRow.fingerprint == fingerprint).with_for_update()
        ).scalar_one_or_none()
        if row is None:
            return False
        if session.execute(select(JobRow.id).where(JobRow.fingerprint == fingerprint).limit(1)).first() is not None:
            return False
        session.execute(update(DatasetRow).where(DatasetRow.fingerprint == fingerprint).values(state=DELETING))
    return True


def claim_orphaned_set(db: Database, layout_version: int, fingerprint: str) -> bool:
    """Make a row for a set's object that none names, to delete it by the same steps. False: a row names it by now."""
    values = {
        "fingerprint": fingerprint,
        "layout_version": layout_version,
        "state": DELETING,
        "key": dataset_key(layout_version, fingerprint),
        "bytes": 0,
        "sha256": "",
        "created_at": clock.now(),
    }
    with db.transaction() as session:
        insert_if_absent(session, DatasetRow, values)
        row = session.get(DatasetRow, fingerprint)
        return row is not None and row.state != LIVE


def finish_deleting_set(db: Database, fingerprint: str) -> None:
    with db.transaction() as session:
        doomed = (DatasetRow.fingerprint == fingerprint, DatasetRow.state == DELETING)
        session.execute(delete(DatasetRow).where(*doomed))


def forget_old_sources(db: Database, *, before: datetime, which: Where) -> list[str]:
    """Drop the source ZIPs of jobs that ended before `before`, unless a repair, an extension in progress or drafts of
    corrections need them or their test split is frozen; returns the keys to delete. `which`: of the jobs of some
    projects.
    """
    other = aliased(JobRow)
    active = other.state.in_(_texts(set(JobState) - JOB_ENDED))
    needed = (select(column).where(column.is_not(None), active) for column in (other.repair_of, other.parent_job_id))
    ended = (
        *which,
        JobRow.state.in_(_texts(JOB_ENDED)),
        JobRow.finished_at < before,
        JobRow.source_key.is_not(None),
        *(JobRow.id.not_in(ids) for ids in (*needed, frozen_jobs(), drafted_jobs())),
    )
    with db.transaction() as session:
        # Locked first: what begins to need a source meanwhile (a retry, a repair, an extension, a test set), under the
        # same lock, is seen by the statements that follow.
        old = select(JobRow.id, JobRow.source_key).where(*ended).order_by(JobRow.id).limit(_AT_ONCE)
        found = session.execute(old.with_for_update()).all()
        forget = update(JobRow).where(*ended).values(source_key=None).returning(JobRow.id)
        return [key for job_id, key in found if key and session.execute(forget.where(JobRow.id == job_id)).first()]


def forget_old_checkpoints(db: Database, *, before: datetime, which: Where) -> list[str]:
    """Drop the checkpoints of runs that ended before `before`; returns the prefixes of their objects.

    `which`: of the runs of some projects.
    """
    ended = (
        *which,
        RunRow.state.in_(_texts(RUN_ENDED)),
        RunRow.deleted_at.is_(None),
        RunRow.finished_at < before,
        or_(RunRow.purged_at.is_(None), RunRow.purged_at < RunRow.finished_at),
    )
    with db.transaction() as session:
        run_ids = list(session.execute(select(RunRow.id).where(*ended).limit(_AT_ONCE)).scalars())
        changed = forget_checkpoints(session, run_ids, ended)
    return [prefix for run in changed for prefix in checkpoint_prefixes(run)]


def forget_workers(db: Database, *, unseen_seconds: float) -> None:
    with db.transaction() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.seen_at < db_now() - unseen_seconds))


def named_keys(db: Database, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that a row names, plots and samples beside metadata that a row names, and thumbnails of the
    images of a live set."""
    columns = (
        JobRow.source_key,
        JobRow.metadata_key,
        DatasetRow.key,
        DatasetRow.index_key,
        RunRow.checkpoint_key,
        RunLogRow.key,
        ArtifactRow.key,
        ExportRow.key,
        EvaluationArtifactRow.key,
        BundleRow.key,
        BatchPredictionArtifactRow.key,
        DatasetExportRow.key,
        UploadPartRow.key,
        TestSetRow.key,
    )
    named: set[str] = set()
    with db.reading() as session:
        for column in columns:
            statement: Select[Any] = select(column).where(column.in_(keys))
            named.update(session.execute(statement).scalars())
        named.update(_inputs_of_extensions(session, keys))
        beside = {key: metadata for key in keys if (metadata := metadata_key_beside(key))}
        metadata_keys = select(JobRow.metadata_key).where(JobRow.metadata_key.in_(set(beside.values())))
        kept = set(session.execute(metadata_keys).scalars())
        thumbnails = {key: fingerprint for key in keys if (fingerprint := thumbnail_of(key))}
        live = select(DatasetRow.fingerprint).where(
            DatasetRow.fingerprint.in_(set(thumbnails.values())), DatasetRow.state == LIVE
        )
        kept |= set(session.execute(live).scalars())
    return named | {key for key, owner in (beside | thumbnails).items() if owner in kept}


def _inputs_of_extensions(session: Session, keys: Sequence[str]) -> Iterator[str]:
    """What the ZIP of an extension is still to be made of."""
    owners = {owner_of(key) for key in keys if key.startswith(UPLOADS)}
    statement = select(JobRow.extension).where(JobRow.id.in_(owners), *needing_inputs())
    for extension in session.execute(statement).scalars():
        yield from (stored["key"] for stored in (extension["additions"], extension["changes"]) if stored)


def active_ids(db: Database, ids: Collection[str]) -> set[str]:
    """The jobs, runs and operations in `ids` that have not ended: a row may name their objects soon."""
    with db.reading() as session:
        jobs = select(JobRow.id).where(JobRow.id.in_(ids), JobRow.state.not_in(_texts(JOB_ENDED)))
        runs = select(RunRow.id).where(RunRow.id.in_(ids), RunRow.state.in_(_texts(RUN_ACTIVE)))
        operations = select(OperationRow.id).where(OperationRow.id.in_(ids), OperationRow.purged_at.is_(None))
        return {row_id for found in (jobs, runs, operations) for row_id in session.execute(found).scalars()}


def _texts(states: Collection[Any]) -> list[str]:
    return sorted(str(state) for state in states)
