"""What the sweep does to rows: lost leases go back or fail, waiting rows are rung again, later and later."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, select, update

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import JobRow, RunRow
from core.db.transitions import move_job, move_run
from core.domain.errors import DarkroomError, WorkerLost
from core.domain.limits import MAX_LOST_LEASES
from core.domain.states import JobState, RunState
from core.queue import PREPARE, TRAIN
from core.services.context import Platform
from core.services.runs.logs import keep_log
from core.services.work.leases import Claim, ClaimLost

_AT_ONCE = 100
FIRST_REENQUEUE_SECONDS = 5.0  # doubled at each ring
LAST_REENQUEUE_SECONDS = 300.0


def sweep_lost_leases(db: Database) -> list[str]:
    """Give back what a lost worker held; fail it after MAX_LOST_LEASES. Returns the ids that moved."""
    with db.reading() as session:
        lost_jobs = list(session.execute(select(JobRow).where(JobRow.lease_expires_at < db_now())).scalars())
        lost_runs = list(session.execute(select(RunRow).where(RunRow.lease_expires_at < db_now())).scalars())
    moved_jobs = [job.id for job in lost_jobs if _give_back_lost_job(db, job)]
    moved_runs = [run.id for run in lost_runs if _give_back_lost_run(db, run)]
    return moved_jobs + moved_runs


def enqueue_waiting(platform: Platform) -> int:
    """Ring for rows that wait: never rung, or rung long enough ago. Returns how many were rung."""
    enqueued = 0
    for table, state, task in ((JobRow, JobState.RECEIVED, PREPARE), (RunRow, RunState.QUEUED, TRAIN)):
        for row_id in _due(platform.db, table, str(state)):
            platform.queue.enqueue(task, row_id)
            enqueued += 1
    return enqueued


def oldest_waiting(db: Database, task: str, *, but_not: Collection[str] = ()) -> str | None:
    """The id of the row that has waited longest for `task`: a worker that has just finished claims it itself."""
    table: type[JobRow] | type[RunRow] = JobRow if task == PREPARE else RunRow
    state = JobState.RECEIVED if task == PREPARE else RunState.QUEUED
    with db.reading() as session:
        waiting = select(table.id).where(table.state == str(state), table.id.not_in(but_not))
        return session.execute(waiting.order_by(table.id).limit(1)).scalar_one_or_none()


def lose_job(db: Database, claim: Claim, error: DarkroomError) -> JobRow:
    """The child was killed from outside: count it as a lost lease at once. The last one fails with `error`.

    Raises ClaimLost.
    """
    with db.reading() as session:
        job = session.get(JobRow, claim.id)
    row = _count_lost_job(db, job, claim.attempt, error) if job else None
    if row is None:
        raise ClaimLost
    return row


def lose_run(db: Database, claim: Claim, error: DarkroomError, *, log_key: str | None) -> RunRow:
    """As `lose_job`, for a run; it goes on from its last checkpoint. Raises ClaimLost."""
    with db.reading() as session:
        run = session.get(RunRow, claim.id)
    row = _count_lost_run(db, run, claim.attempt, error, log_key=log_key) if run else None
    if row is None:
        raise ClaimLost
    return row


def _give_back_lost_job(db: Database, job: JobRow) -> bool:
    lost = job.lost_leases + 1
    error = WorkerLost(f"{lost} workers were lost while preparing this upload.", lost_leases=lost)
    row = _count_lost_job(db, job, job.attempt, error, where=[JobRow.lease_expires_at < db_now()])
    return row is not None


def _count_lost_job(
    db: Database, job: JobRow, attempt: int, error: DarkroomError, *, where: Collection[ColumnElement[bool]] = ()
) -> JobRow | None:
    lost = job.lost_leases + 1
    if lost >= MAX_LOST_LEASES:
        to = JobState.FAILED
        changes: dict[str, Any] = {"problem": error.as_problem(), "finished_at": clock.now()}
    else:
        to, changes = JobState.RECEIVED, {"enqueue_count": 0, "enqueued_at": None}
    changes |= {"stage": None, "progress": None, "lost_leases": lost, "lease_expires_at": None}
    with db.transaction() as session:
        return move_job(session, job.id, to, sources=[JobState.PREPARING], fence=attempt, where=where, **changes)


def _give_back_lost_run(db: Database, run: RunRow) -> bool:
    still_lost = [RunRow.lease_expires_at < db_now()]
    with db.transaction() as session:
        # Asked to cancel, and nobody is left to do it: it is done.
        cancelled = move_run(
            session,
            run.id,
            RunState.CANCELLED,
            sources=[RunState.CANCELLING],
            fence=run.attempt,
            where=still_lost,
            stage=None,
            lease_expires_at=None,
            finished_at=clock.now(),
        )
    if cancelled is not None:
        return True
    lost = run.lost_leases + 1
    error = WorkerLost(f"{lost} workers were lost while training this run.", lost_leases=lost)
    return _count_lost_run(db, run, run.attempt, error, log_key=None, where=still_lost) is not None


def _count_lost_run(
    db: Database,
    run: RunRow,
    attempt: int,
    error: DarkroomError,
    *,
    log_key: str | None,
    where: Collection[ColumnElement[bool]] = (),
) -> RunRow | None:
    lost = run.lost_leases + 1
    if lost >= MAX_LOST_LEASES:
        to = RunState.FAILED
        changes: dict[str, Any] = {"problem": error.as_problem(), "finished_at": clock.now()}
    else:
        to, changes = RunState.QUEUED, {"enqueue_count": 0, "enqueued_at": None}
    changes |= {"stage": None, "lost_leases": lost, "lease_expires_at": None}
    changes |= {} if log_key is None else {"log_key": log_key}  # an earlier attempt's is better than none
    with db.transaction() as session:
        row = move_run(session, run.id, to, sources=[RunState.RUNNING], fence=attempt, where=where, **changes)
        if row is not None:
            keep_log(session, Claim(run.id, attempt), log_key)
    return row


def _due(db: Database, table: type[JobRow] | type[RunRow], state: str) -> list[str]:
    """Claim the right to ring: `enqueued_at` is written before the bell, so that two sweeps do not ring twice."""
    due: list[str] = []
    with db.transaction() as session:
        now = session.execute(select(db_now())).scalar_one()
        columns = select(table.id, table.enqueue_count, table.enqueued_at)
        waiting = columns.where(table.state == state).order_by(table.id).limit(_AT_ONCE)
        for row_id, enqueue_count, enqueued_at in session.execute(waiting).all():
            pause = min(FIRST_REENQUEUE_SECONDS * 2 ** min(enqueue_count, 10), LAST_REENQUEUE_SECONDS)
            if enqueued_at is None or now - enqueued_at > pause:
                still = (
                    table.id == row_id,
                    table.state == state,
                    table.enqueue_count == enqueue_count,
                )  # not claimed, not rung since
                enqueue = (
                    update(table)
                    .where(*still)
                    .values(enqueued_at=now, enqueue_count=table.enqueue_count + 1)
                    .returning(table.id)
                )
                due += session.execute(enqueue).scalars()
    return due
