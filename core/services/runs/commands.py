"""What a user does with a run: queue, read, list, cancel, stop, retry. What a worker does is in lifecycle.py."""

from typing import Any

import structlog
from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import JobRow, RunRow, VersionRow
from core.db.transitions import change, move, record_event
from core.domain.errors import JobNotFound, RunNotCancellable, RunNotFound, RunNotRetryable
from core.domain.ids import new_id
from core.domain.not_ready import not_ready
from core.domain.states import RUN_ACTIVE, JobState, RunState
from core.queue import TRAIN
from core.services.context import Platform
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.deleted import deleted_job
from core.services.projects.lookup import project_in
from core.services.projects.names import log_names

log = structlog.get_logger(__name__)

_RUN = select(RunRow).where(RunRow.id == bindparam("run_id"))  # built once: that takes a third of a read
_LOCKED_RUN = _RUN.with_for_update().execution_options(populate_existing=True)
_RUNS_NAMED = 20  # in an error


def queue_run(
    platform: Platform,
    job_id: str,
    *,
    trainer: str,
    params: dict[str, Any],
    leak: dict[str, Any] | None = None,
    on_commit: OnCommit = do_nothing,
) -> RunRow:
    """Commit a run of a ready job, then enqueue it. Raises as `add_run`."""
    with platform.db.transaction() as session:
        row = add_run(session, job_id, trainer=trainer, params=params, leak=leak)
        on_commit(session, row)
    enqueue_run(platform, row)
    return row


def add_run(
    session: Session,
    job_id: str,
    *,
    trainer: str,
    params: dict[str, Any],
    parent_id: str | None = None,
    leak: dict[str, Any] | None = None,
) -> RunRow:
    """A run that waits. `params` are valid. Raises JobNotFound, Gone, JobNotReady.

    `parent_id`: of the version that it is fine-tuned from. `leak`: the frozen test images that it learns from.
    """
    at = clock.now()
    job = _ready_job(session, job_id)
    row = RunRow(
        id=new_id("run", clock.now_ms()),
        project_id=job.project_id,
        project=job.project,
        job_id=job_id,
        parent_id=parent_id,
        trainer=trainer,
        params=params,
        fingerprint=job.fingerprint,
        leak=leak,
        state=str(RunState.QUEUED),
        stop_requested=False,
        spent_seconds=0.0,
        attempt=0,
        lost_leases=0,
        enqueue_count=1,
        enqueued_at=db_now(),
        event_seq=1,
        mirror_seq=0,
        created_at=at,
        updated_at=at,
    )
    session.add(row)
    session.flush()
    record_event(session, row, "state", ("state", "attempt", "stop_requested"))
    return row


def enqueue_run(platform: Platform, row: RunRow) -> None:
    """After the transaction that added it."""
    platform.queue.enqueue(TRAIN, row.id)
    log.info("run.queued", run_id=row.id, trainer=row.trainer, **log_names(platform.db, row.id))


def get_run(db: Database, run_id: str) -> RunRow:
    """Raises RunNotFound."""
    with db.reading() as session:
        return run_in(session, run_id)


def get_living_run(db: Database, run_id: str) -> RunRow:
    """A run whose job is not deleted. Raises RunNotFound, Gone."""
    with db.reading() as session:
        run = run_in(session, run_id)
        if run.deleted_at is not None:
            raise deleted_job(session, session.get_one(JobRow, run.job_id), run_id=run_id)
    return run


def run_in(session: Session, run_id: str, *, lock: bool = False) -> RunRow:
    """Read a run inside a transaction; `lock` locks its row until the end (PostgreSQL; SQLite has one writer)."""
    row = session.execute(_LOCKED_RUN if lock else _RUN, {"run_id": run_id}).scalar_one_or_none()
    if row is None:
        raise RunNotFound(f"There is no run {run_id}.", run_id=run_id)
    return row


def list_runs(
    db: Database,
    *,
    cursor: str | None,
    limit: int,
    state: str | None = None,
    job_id: str | None = None,
    project: str | None = None,
) -> Page[RunRow]:
    """Newest first, without the runs of deleted jobs.

    `project`: a slug or an id. Raises ProjectNotFound, ProjectRenamed, Gone.
    """
    statement = select(RunRow).where(RunRow.deleted_at.is_(None))
    if state:
        statement = statement.where(RunRow.state == state)
    if job_id:
        statement = statement.where(RunRow.job_id == job_id)
    with db.reading() as session:
        if project:
            statement = statement.where(RunRow.project_id == project_in(session, project).id)
        return page_of(session, statement, RunRow.id, cursor=cursor, limit=limit, newest_first=True)


def cancel_run(db: Database, run_id: str, *, on_commit: OnCommit = do_nothing) -> RunRow:
    """queued -> cancelled at once, running -> cancelling (its supervisor polls for it). Repeated: the same answer.

    Raises RunNotFound, RunNotCancellable.
    """
    with db.transaction() as session:
        before = run_in(session, run_id, lock=True)
        row = cancel_in(session, run_id)
        if row is None and before.state not in (RunState.CANCELLING, RunState.CANCELLED):
            raise RunNotCancellable(f"The run has {before.state}.", run_id=run_id, state=before.state)
        on_commit(session, row or before)
    return row or before


def cancel_in(session: Session, run_id: str) -> RunRow | None:
    """Cancel inside a transaction, at any attempt. None: the run is neither queued nor running."""
    # Locked before the two statements: a run that is given back between them would match neither.
    session.execute(select(RunRow.id).where(RunRow.id == run_id).with_for_update())
    at_once = move(
        session, RunRow, run_id, RunState.CANCELLED, sources=[RunState.QUEUED], stage=None, finished_at=clock.now()
    )
    return at_once or move(session, RunRow, run_id, RunState.CANCELLING)


def stop_run(db: Database, run_id: str, *, on_commit: OnCommit = do_nothing) -> RunRow:
    """Request a running run to end now and to publish its best model so far. Raises RunNotFound, RunNotCancellable."""
    with db.transaction() as session:
        before = run_in(session, run_id)
        running = (RunRow.state == str(RunState.RUNNING),)
        row = change(session, RunRow, run_id, "stop", where=running, stop_requested=True)
        if row is None:
            raise RunNotCancellable(
                f"The run is {before.state}; only a running run can be stopped.",
                run_id=run_id,
                state=before.state,
            )
        on_commit(session, row)
    return row


def retry_run(platform: Platform, run_id: str, *, on_commit: OnCommit = do_nothing) -> RunRow:
    """failed -> queued, from its checkpoint if it has one. Raises RunNotFound, RunNotRetryable, JobNotReady."""
    with platform.db.transaction() as session:
        before = run_in(session, run_id)
        _require_parent(session, before)
        _ready_job(session, before.job_id)
        row = move(
            session,
            RunRow,
            run_id,
            RunState.QUEUED,
            sources=[RunState.FAILED],
            stage=None,
            problem=None,
            finished_at=None,
            stop_requested=False,
            lost_leases=0,
            refusals=0,
            spent_seconds=0.0,
            enqueue_count=1,
            enqueued_at=db_now(),
            mirrored_at=None,
        )
        if row is None:
            raise RunNotRetryable(f"The run is {before.state}.", run_id=run_id, state=before.state)
        on_commit(session, row)
    platform.queue.enqueue(TRAIN, run_id)
    return row


def active_runs_from(session: Session, versions: ColumnElement[bool], *, but_not: ColumnElement[bool]) -> list[str]:
    """Ids of active runs that are fine-tuned from one of these versions, but for some of them."""
    active = [str(state) for state in RUN_ACTIVE]
    from_them = RunRow.parent_id.in_(select(VersionRow.id).where(versions))
    wanted = select(RunRow.id).where(from_them, RunRow.state.in_(active), ~but_not)
    return list(session.execute(wanted.order_by(RunRow.id).limit(_RUNS_NAMED)).scalars())


def _require_parent(session: Session, run: RunRow) -> None:
    """Lock the project of the version that the run starts from, so that it is not deleted before the run waits again.

    Raises RunNotRetryable when it was.
    """
    if run.parent_id is None:
        return
    parent = session.get_one(VersionRow, run.parent_id)
    project_in(session, parent.project_id, lock=True, allow_deleted=True)
    session.refresh(parent)
    if parent.deleted_at is not None:
        detail = f"{run.params.get('model')}, from which it is fine-tuned, was deleted. Queue a new run."
        raise RunNotRetryable(detail, run_id=run.id, state=run.state, parent_id=parent.id)


def _ready_job(session: Session, job_id: str) -> JobRow:
    # FOR UPDATE: the job cannot be deleted between this read and the commit of a run that needs it.
    job = session.execute(select(JobRow).where(JobRow.id == job_id).with_for_update()).scalar_one_or_none()
    if job is None:
        raise JobNotFound(f"There is no job {job_id}.", job_id=job_id)
    if job.state == JobState.DELETED:
        raise deleted_job(session, job)
    if job.state != JobState.READY or job.fingerprint is None:
        raise not_ready(job.id, job.state)
    return job
