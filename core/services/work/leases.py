"""Leased work, part one: claim a row, renew its lease, poll it, report on it.

Every function is written once for all tables with the columns of `Leased`: jobs, runs and operations. A claim is
(id, attempt); a worker with an older attempt can change nothing. How an attempt ends is in endings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, or_, update

from core import clock
from core.db import Database
from core.db.base import Leased, Resumable
from core.db.clock import db_now
from core.db.tables import JobRow, OperationRow, RunRow
from core.db.transitions import Row, change, move
from core.queue import OPERATE, PREPARE, TRAIN

# The rows that a task's messages name.
TABLES: Mapping[str, type[Leased]] = {PREPARE: JobRow, TRAIN: RunRow, OPERATE: OperationRow}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a row, until another worker has a higher attempt."""

    id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What a supervisor polls for several times a second."""

    mine: bool  # a worker holds the claim, and its attempt is this one
    cancel: bool
    stop: bool


class ClaimLost(Exception):
    """The row has moved on: another attempt, another state. Stop, and write nothing more."""


def table_of(row_id: str) -> type[Leased] | None:
    """The table of a row by the prefix of its id; None for an id of another kind."""
    return next((table for table in TABLES.values() if row_id.startswith(f"{table.noun()}_")), None)


def claim_row(
    db: Database, table: type[Row], row_id: str, worker: str, *, lease_seconds: float
) -> tuple[Claim, Row] | None:
    """Begin an attempt: waiting -> working. None: the row is not waiting any more."""
    changes: dict[str, Any] = dict.fromkeys(table.of_attempt)
    changes |= {"stage": "fetching", "worker": worker, "started_at": clock.now()}
    with db.transaction() as session:
        row = move(
            session,
            table,
            row_id,
            table.lifecycle.working,
            attempt=table.attempt + 1,
            lease_expires_at=db_now() + lease_seconds,
            **changes,
        )
    return (Claim(row.id, row.attempt), row) if row else None


def renew_lease(
    db: Database, table: type[Leased], claim: Claim, *, lease_seconds: float, worked_seconds: float = 0.0
) -> bool:
    """Renew the lease; False: the claim is lost. `worked_seconds` since the last heartbeat add to what is spent."""
    changes: dict[str, Any] = {"lease_expires_at": db_now() + lease_seconds}
    if issubclass(table, Resumable):
        changes["spent_seconds"] = table.spent_seconds + worked_seconds
    statement = update(table).where(table.id == claim.id, *held(table, claim)).values(**changes).returning(table.id)
    with db.transaction() as session:
        return session.execute(statement).first() is not None


def poll_claim(db: Database, table: type[Leased], claim: Claim) -> ClaimStatus:
    """Whether the claim is still held, and whether its user requested to cancel or to stop."""
    with db.reading() as session:
        row = session.get(table, claim.id)
    if row is None or row.attempt != claim.attempt or row.state not in table.lifecycle.active:
        return ClaimStatus(mine=False, cancel=False, stop=False)
    stop = isinstance(row, Resumable) and row.stop_requested
    return ClaimStatus(mine=True, cancel=row.state == table.lifecycle.cancelling, stop=stop)


def report_progress(
    db: Database,
    table: type[Row],
    claim: Claim,
    event: str = "progress",
    *,
    extra: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Row:
    """Change a claimed row (its stage, its progress, ...), with an event. Raises ClaimLost.

    `extra` goes into the event alone: a sample of the child's processor, memory and GPU.
    """
    with db.transaction() as session:
        row = change(session, table, claim.id, event, where=held(table, claim), extra=extra, **changes)
        if row is None:
            raise ClaimLost
    return row


def record_checkpoint(
    db: Database, table: type[Leased], claim: Claim, *, key: str, epoch: int, sha256: str, size: int | None = None
) -> None:
    """Name a stored checkpoint as the one to continue from. Raises ClaimLost.

    One of a later epoch than the last sets the count of lost leases to 0: the work advances between the losses.
    """
    changes: dict[str, Any] = {
        "checkpoint_key": key,
        "checkpoint_epoch": epoch,
        "checkpoint_sha256": sha256,
        "checkpoint_bytes": size,
        "checkpoint_at": clock.now(),
        "refusals": 0,  # the store accepts writes again, and hours may lie between two refusals
    }
    if issubclass(table, Resumable):
        further = or_(table.checkpoint_epoch.is_(None), table.checkpoint_epoch < epoch)
        changes["lost_leases"] = case((further, 0), else_=table.lost_leases)
    report_progress(db, table, claim, "checkpoint", **changes)


def held(table: type[Leased], claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The guards of a write by the worker that holds the claim."""
    return (table.attempt == claim.attempt, table.state.in_(sorted(table.lifecycle.active)))
