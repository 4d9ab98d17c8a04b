"""Leased work, part two: how an attempt ends, written once for all tables with a lease.

succeed    working -> succeeded
fail       working -> failed
give back  working -> waiting: the worker drains, or a service does not answer
cancel     cancelling -> cancelled
refuse     the object store denies access or lacks the bucket. Unlike an outage this does not pass by itself, so it is
           counted: working -> waiting, after MAX_REFUSALS -> failed. Also for resumable work that meets a full disk
lose       the worker or its child died: working -> waiting, after MAX_LOST_LEASES -> failed
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.totals import add_total
from core.db.transitions import Row, move
from core.domain.errors import DarkroomError
from core.domain.limits import MAX_LOST_LEASES, MAX_REFUSALS
from core.services.on_commit import OnCommit, do_nothing
from core.services.work.leases import Claim, ClaimLost

LEASES_LOST = "leases_lost"  # a total, for /metrics
AT_ONCE: Mapping[str, Any] = {"enqueue_count": 0, "enqueued_at": None}  # the next sweep enqueues it
LATER: Mapping[str, Any] = {"enqueued_at": db_now()}  # a sweep after a pause, which doubles each time


def succeed_attempt(
    db: Database, table: type[Row], claim: Claim, *, on_commit: OnCommit = do_nothing, **changes: Any
) -> Row:
    """working -> succeeded, with its result in `changes`. Raises ClaimLost."""
    with db.transaction() as session:
        row = end_attempt(session, table, claim, table.lifecycle.succeeded, **changes)
        on_commit(session, row)
    return row


def fail_attempt(
    db: Database, table: type[Row], claim: Claim, error: DarkroomError, *, on_commit: OnCommit = do_nothing
) -> Row:
    """working -> failed with a typed cause. Raises ClaimLost."""
    with db.transaction() as session:
        row = end_attempt(session, table, claim, table.lifecycle.failed, problem=error.as_problem())
        on_commit(session, row)
    return row


def give_back_attempt(
    db: Database, table: type[Row], claim: Claim, *, later: bool = False, on_commit: OnCommit = do_nothing
) -> Row:
    """working -> waiting; the next sweep enqueues it. Raises ClaimLost.

    `later`: the attempt met an Unavailable; the sweep enqueues it after a pause that doubles each time.
    """
    with db.transaction() as session:
        row = end_attempt(session, table, claim, table.lifecycle.waiting, **(LATER if later else AT_ONCE))
        on_commit(session, row)
    return row


def cancel_attempt(
    db: Database,
    table: type[Row],
    claim: Claim,
    *,
    where: Collection[ColumnElement[bool]] = (),
    on_commit: OnCommit = do_nothing,
) -> Row:
    """cancelling -> cancelled. Raises ClaimLost, also for a kind of work that cannot be cancelled."""
    if table.lifecycle.cancelled is None:
        raise ClaimLost
    with db.transaction() as session:
        row = end_attempt(session, table, claim, table.lifecycle.cancelled, where=where)
        on_commit(session, row)
    return row


def refuse_attempt(
    db: Database, table: type[Row], claim: Claim, error: DarkroomError, *, on_commit: OnCommit = do_nothing
) -> Row:
    """working -> waiting, for the last time -> failed with `error`. Raises ClaimLost."""
    with db.transaction() as session:
        refusals = session.get_one(table, claim.id).refusals + 1
        to, changes = table.lifecycle.waiting, LATER
        if refusals >= MAX_REFUSALS:
            to, changes = table.lifecycle.failed, {"problem": error.as_problem()}
        row = end_attempt(session, table, claim, to, refusals=refusals, **changes)
        on_commit(session, row)
    return row


def lose_attempt(
    db: Database,
    table: type[Row],
    claim: Claim,
    error: DarkroomError,
    *,
    where: Collection[ColumnElement[bool]] = (),
    on_commit: OnCommit = do_nothing,
) -> Row:
    """working -> waiting, for the last time -> failed with `error`. Raises ClaimLost."""
    with db.transaction() as session:
        lost = session.get_one(table, claim.id).lost_leases + 1
        to, changes = table.lifecycle.waiting, AT_ONCE
        if lost >= MAX_LOST_LEASES:
            to, changes = table.lifecycle.failed, {"problem": error.as_problem()}
        row = end_attempt(session, table, claim, to, where=where, lost_leases=lost, **changes)
        add_total(session, LEASES_LOST, {"of": table.noun()})
        on_commit(session, row)
    return row


def end_attempt(
    session: Session,
    table: type[Row],
    claim: Claim,
    to: StrEnum,
    *,
    where: Collection[ColumnElement[bool]] = (),
    **changes: Any,
) -> Row:
    """Move a claimed row on, and clear its lease and the fields of the attempt. Raises ClaimLost."""
    lifecycle = table.lifecycle
    if to in lifecycle.ended:
        changes["finished_at"] = clock.now()
    row = move(
        session,
        table,
        claim.id,
        to,
        sources=lifecycle.sources(to) & lifecycle.active,
        fence=claim.attempt,
        where=where,
        lease_expires_at=None,
        **dict.fromkeys(table.of_attempt),
        **changes,
    )
    if row is None:
        raise ClaimLost
    return row
