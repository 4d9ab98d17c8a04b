"""Claims, beats and named locks. A claim is (id, attempt); whoever holds an older attempt can change nothing."""

from dataclasses import dataclass

from sqlalchemy import update

from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import JobRow, LockRow, RunRow, WorkerRow
from core.domain.states import JobState, RunState


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job or a run, until somebody else has a higher attempt."""

    id: str
    attempt: int


class ClaimLost(Exception):
    """The row has moved on: another attempt, another state. Stop, and write nothing more."""


def heartbeat_job(db: Database, claim: Claim, *, lease_seconds: float) -> bool:
    """Renew the lease. False: the claim is lost."""
    statement = (
        update(JobRow)
        .where(JobRow.id == claim.id, JobRow.attempt == claim.attempt, JobRow.state == str(JobState.PREPARING))
        .values(lease_expires_at=db_now() + lease_seconds)
        .returning(JobRow.id)
    )
    with db.transaction() as session:
        return session.execute(statement).first() is not None


def heartbeat_run(db: Database, claim: Claim, *, lease_seconds: float, worked_seconds: float) -> bool:
    """Renew the lease and add `worked_seconds` since the last beat to what the run has spent. False: lost."""
    active = [str(RunState.RUNNING), str(RunState.CANCELLING)]
    statement = (
        update(RunRow)
        .where(RunRow.id == claim.id, RunRow.attempt == claim.attempt, RunRow.state.in_(active))
        .values(lease_expires_at=db_now() + lease_seconds, spent_seconds=RunRow.spent_seconds + worked_seconds)
        .returning(RunRow.id)
    )
    with db.transaction() as session:
        return session.execute(statement).first() is not None


def take_lock(db: Database, name: str, holder: str, *, seconds: float) -> bool:
    """Take or renew a named lock. False: somebody else holds it and is alive."""
    with db.transaction() as session:
        insert_if_absent(session, LockRow, {"name": name, "holder": holder, "expires_at": 0.0})
        statement = (
            update(LockRow)
            .where(LockRow.name == name, (LockRow.holder == holder) | (LockRow.expires_at < db_now()))
            .values(holder=holder, expires_at=db_now() + seconds)
            .returning(LockRow.name)
        )
        return session.execute(statement).first() is not None


def note_worker(db: Database, name: str, role: str) -> None:
    """Say that this worker is alive."""
    with db.transaction() as session:
        insert_if_absent(session, WorkerRow, {"name": name, "role": role, "seen_at": 0.0})
        session.execute(update(WorkerRow).where(WorkerRow.name == name).values(role=role, seen_at=db_now()))
