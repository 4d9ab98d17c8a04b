"""What a user does with an operation: queue, read, list, cancel, retry. How a worker ends it is in lifecycle.py."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import JobRow, OperationRow
from core.db.transitions import move, record_event
from core.domain.errors import (
    Gone,
    JobNotFound,
    OperationNotCancellable,
    OperationNotFound,
    OperationNotRetryable,
)
from core.domain.ids import new_id
from core.domain.states import RunState
from core.queue import OPERATE
from core.services.context import Platform
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.deleted import deleted_job
from core.services.projects.lookup import project_in

# States in which it makes its target: one that is being cancelled makes it no more. As in the table's unique index.
WANTED = (str(RunState.QUEUED), str(RunState.RUNNING))


class Requested(NamedTuple):
    """The operation that makes what was asked for, or has made it. `is_new`: this request has queued it."""

    operation: OperationRow
    slug: str  # of its project
    is_new: bool


_OPERATION = select(OperationRow).where(OperationRow.id == bindparam("operation_id"))
_LOCKED_OPERATION = _OPERATION.with_for_update().execution_options(populate_existing=True)


def new_operation_id() -> str:
    """For a caller that stores the operation's input before its row; see `core.domain.keys.operation_input_key`."""
    return new_id("operation", clock.now_ms())


def queue_operation(
    platform: Platform,
    kind: str,
    params: dict[str, Any],
    *,
    project_id: str | None = None,
    job_id: str | None = None,
    target: str | None = None,
    operation_id: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> OperationRow:
    """Commit an operation, then enqueue it. `kind` is one that workers know, `params` are valid.

    `target`: what it makes. While an operation of the same kind makes the same, that one is returned.
    It belongs to the project, or to the job and its project; it is deleted with them.
    Raises ProjectNotFound, JobNotFound, Gone.
    """
    with platform.db.transaction() as session:
        if job_id is not None:
            project_id = _living_job(session, job_id).project_id
        elif project_id is not None:
            project_in(session, project_id, lock=True)
        row, is_new = add_operation(
            session, kind, params, project_id=project_id, job_id=job_id, target=target, operation_id=operation_id
        )
        on_commit(session, row)
    if is_new:
        enqueue_operation(platform, row.id)
    return row


def add_operation(
    session: Session,
    kind: str,
    params: dict[str, Any],
    *,
    project_id: str | None,
    job_id: str | None = None,
    target: str | None = None,
    operation_id: str | None = None,
) -> tuple[OperationRow, bool]:
    """As `queue_operation`, inside a transaction that has locked the project or the job, which is not deleted.

    Returns the row and whether it is new: then `enqueue_operation` follows the commit.
    """
    values = {
        "id": operation_id or new_operation_id(),
        "kind": kind,
        "params": params,
        "project_id": project_id,
        "job_id": job_id,
        "target": target,
    }
    return _added_or_active(session, values)


def enqueue_operation(platform: Platform, operation_id: str) -> None:
    """After the commit of a new one."""
    platform.queue.enqueue(OPERATE, operation_id)


def get_operation(db: Database, operation_id: str) -> OperationRow:
    """Raises OperationNotFound."""
    with db.reading() as session:
        return operation_in(session, operation_id)


def get_living_operation(db: Database, operation_id: str) -> OperationRow:
    """One whose job or project is not deleted. Raises OperationNotFound, Gone."""
    with db.reading() as session:
        return living_in(session, operation_id)


def living_in(session: Session, operation_id: str, *, lock: bool = False) -> OperationRow:
    """As `operation_in`. Raises Gone, too."""
    row = operation_in(session, operation_id, lock=lock)
    if row.deleted_at is not None:
        raise Gone("The job or project of this operation was deleted.", operation_id=operation_id)
    return row


def operation_in(session: Session, operation_id: str, *, lock: bool = False) -> OperationRow:
    """Read an operation inside a transaction; `lock` locks its row until the end."""
    statement = _LOCKED_OPERATION if lock else _OPERATION
    row = session.execute(statement, {"operation_id": operation_id}).scalar_one_or_none()
    if row is None:
        raise OperationNotFound(f"There is no operation {operation_id[:80]}.", operation_id=operation_id[:80])
    return row


def newest_operation(db: Database, kind: str, target: str) -> OperationRow | None:
    """The newest operation of this kind that makes or made `target`, in any state."""
    made = select(OperationRow).where(OperationRow.kind == kind, OperationRow.target == target)
    with db.reading() as session:
        return session.execute(made.order_by(OperationRow.id.desc()).limit(1)).scalar_one_or_none()


def active_operation(session: Session, kind: str, target: str | None) -> OperationRow | None:
    """The one of this kind that makes `target` now."""
    same = (OperationRow.kind == kind, OperationRow.target == target, OperationRow.state.in_(WANTED))
    return session.execute(select(OperationRow).where(*same)).scalar_one_or_none()


def list_operations(
    db: Database,
    *,
    cursor: str | None,
    limit: int,
    state: str | None = None,
    kind: str | None = None,
    project: str | None = None,
    job_id: str | None = None,
) -> Page[OperationRow]:
    """Newest first, without those of deleted jobs and projects.

    `project`: a slug or an id. Raises ProjectNotFound, ProjectRenamed, Gone.
    """
    statement = select(OperationRow).where(OperationRow.deleted_at.is_(None))
    for column, wanted in ((OperationRow.state, state), (OperationRow.kind, kind), (OperationRow.job_id, job_id)):
        if wanted:
            statement = statement.where(column == wanted)
    with db.reading() as session:
        if project:
            statement = statement.where(OperationRow.project_id == project_in(session, project).id)
        return page_of(session, statement, OperationRow.id, cursor=cursor, limit=limit, newest_first=True)


def cancel_operation(db: Database, operation_id: str, *, on_commit: OnCommit = do_nothing) -> OperationRow:
    """queued -> cancelled at once, running -> cancelling (its supervisor polls for it). Repeated: the same answer.

    Raises OperationNotFound, Gone, OperationNotCancellable.
    """
    with db.transaction() as session:
        before = living_in(session, operation_id, lock=True)
        row = cancel_in(session, operation_id)
        if row is None and before.state not in (RunState.CANCELLING, RunState.CANCELLED):
            detail = f"The operation has {before.state}."
            raise OperationNotCancellable(detail, operation_id=operation_id, state=before.state)
        on_commit(session, row or before)
    return row or before


def cancel_in(session: Session, operation_id: str) -> OperationRow | None:
    """Cancel inside a transaction that has locked the row. None: the operation is neither queued nor running."""
    queued, at = [RunState.QUEUED], clock.now()
    at_once = move(session, OperationRow, operation_id, RunState.CANCELLED, sources=queued, finished_at=at)
    return at_once or move(session, OperationRow, operation_id, RunState.CANCELLING)


def retry_operation(platform: Platform, operation_id: str, *, on_commit: OnCommit = do_nothing) -> OperationRow:
    """failed -> queued. Raises OperationNotFound, Gone, OperationNotRetryable."""
    try:
        with platform.db.transaction() as session:
            row = _queued_again(session, operation_id)
            on_commit(session, row)
    except IntegrityError as error:  # of the unique index of kind and target
        detail = "Another operation does the same by now: see `GET /operations?state=queued` and `?state=running`."
        raise OperationNotRetryable(detail, operation_id=operation_id, state=str(RunState.FAILED)) from error
    enqueue_operation(platform, operation_id)
    return row


def _living_job(session: Session, job_id: str) -> JobRow:
    # FOR UPDATE: the job cannot be deleted between this read and the commit.
    job = session.execute(select(JobRow).where(JobRow.id == job_id).with_for_update()).scalar_one_or_none()
    if job is None:
        raise JobNotFound(f"There is no job {job_id}.", job_id=job_id)
    if job.deleted_at is not None:
        raise deleted_job(session, job)
    return job


def _added_or_active(session: Session, values: dict[str, Any]) -> tuple[OperationRow, bool]:
    """The new row and True, or the row that makes the same target and False."""
    at = clock.now()
    state = {"state": str(RunState.QUEUED), "enqueue_count": 1, "enqueued_at": db_now(), "event_seq": 1}
    while not insert_if_absent(session, OperationRow, values | state | {"created_at": at, "updated_at": at}):
        if (found := active_operation(session, values["kind"], values["target"])) is not None:
            return found, False
        # It has ended between the two statements.
    row = session.get_one(OperationRow, values["id"])
    record_event(session, row, "state", ("state", "attempt"))
    return row, True


def _queued_again(session: Session, operation_id: str) -> OperationRow:
    before = living_in(session, operation_id, lock=True)
    if before.purged_at is not None:
        raise OperationNotRetryable("Its input was deleted.", operation_id=operation_id, state=before.state)
    row = move(
        session,
        OperationRow,
        operation_id,
        RunState.QUEUED,
        sources=[RunState.FAILED],
        problem=None,
        finished_at=None,
        lost_leases=0,
        refusals=0,
        enqueue_count=1,
        enqueued_at=db_now(),
    )
    if row is None:
        detail = f"The operation is {before.state}; only a failed operation can be retried."
        raise OperationNotRetryable(detail, operation_id=operation_id, state=before.state)
    return row
