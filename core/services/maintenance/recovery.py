"""What the sweep does to rows: lost leases go back or fail; waiting rows are enqueued again, later and later."""

from collections.abc import Collection

import structlog
from sqlalchemy import ColumnElement, Integer, literal, not_, or_, select, true, update

from core import clock
from core.db import Database
from core.db.base import Leased
from core.db.clock import db_now
from core.db.tables import OperationRow
from core.domain.errors import WorkerLost
from core.services.context import Platform
from core.services.operations.automatic import is_automatic
from core.services.work.endings import cancel_attempt, lose_attempt
from core.services.work.leases import TABLES, Claim, ClaimLost

_AT_ONCE = 100
FIRST_REENQUEUE_SECONDS = 5.0  # doubled each time
LAST_REENQUEUE_SECONDS = 300.0

log = structlog.get_logger(__name__)


class SleepWatch:
    """Whether this machine has just slept (or its clock was set): then leases expired, and their workers are there.

    The date goes on while a machine sleeps, the monotonic clock does not. Workers that slept too renew their
    leases with the next heartbeat, which the sweep waits for.
    """

    def __init__(self, *, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._ahead_seconds = _date_ahead_seconds()
        self._awake_at = clock.monotonic()

    def has_just_slept(self) -> bool:
        """True for one lease after a jump by more than a quarter of a lease.

        A supervisor gives its claim up after three quarters without a heartbeat; a shorter sleep costs no lease.
        """
        ahead_seconds = _date_ahead_seconds()
        jumped_seconds, self._ahead_seconds = ahead_seconds - self._ahead_seconds, ahead_seconds
        if jumped_seconds > self._lease_seconds / 4:
            log.warning("sleep.noticed", seconds=round(jumped_seconds, 1))
            self._awake_at = clock.monotonic() + self._lease_seconds
        return clock.monotonic() < self._awake_at


def sweep_lost_leases(db: Database) -> list[str]:
    """Give back the rows of lost workers; fail them after MAX_LOST_LEASES. Returns the ids that moved."""
    moved: list[str] = []
    for table in TABLES.values():
        with db.reading() as session:
            lost = list(session.execute(select(table).where(table.lease_expires_at < db_now())).scalars())
        moved += [row.id for row in lost if _end_lost(db, table, row)]
    return moved


def enqueue_waiting(platform: Platform) -> int:
    """Enqueue waiting rows that never were, or were long enough ago. Returns their number."""
    enqueued = 0
    for task, table in TABLES.items():
        for row_id in _due(platform.db, table):
            platform.queue.enqueue(task, row_id)
            enqueued += 1
    return enqueued


def oldest_waiting(db: Database, task: str, *, but_not: Collection[str] = ()) -> str | None:
    """The id of the row that has waited longest for `task`: a worker that has just finished claims it itself.

    A row whose last attempt was refused waits for its pause, which doubles each time. An operation that nobody
    requested comes after all others.
    """
    table = TABLES[task]
    pause = literal(FIRST_REENQUEUE_SECONDS) * literal(1, Integer).bitwise_lshift(table.refusals)
    is_due = or_(table.refusals == 0, table.enqueued_at.is_(None), table.enqueued_at <= db_now() - pause)
    waiting = select(table.id).where(table.state == str(table.lifecycle.waiting), table.id.not_in(but_not), is_due)
    with db.reading() as session:
        for those in _by_precedence(table):  # a statement each: in the order of an index
            found = session.execute(waiting.where(those).order_by(table.id).limit(1)).scalar_one_or_none()
            if found is not None:
                return found
    return None


def _by_precedence(table: type[Leased]) -> tuple[ColumnElement[bool], ...]:
    return (not_(is_automatic()), is_automatic()) if table is OperationRow else (true(),)


def _date_ahead_seconds() -> float:
    return clock.now().timestamp() - clock.monotonic()


def _end_lost(db: Database, table: type[Leased], row: Leased) -> bool:
    """False: its worker has renewed the lease, or another sweep was faster."""
    claim, still_lost = Claim(row.id, row.attempt), (table.lease_expires_at < db_now(),)
    lost = row.lost_leases + 1
    error = WorkerLost(f"{lost} workers were lost while {table.lifecycle.activity}.", lost_leases=lost)
    try:
        if row.state == table.lifecycle.cancelling:
            cancel_attempt(db, table, claim, where=still_lost)
        else:
            lose_attempt(db, table, claim, error, where=still_lost)
    except ClaimLost:
        return False
    return True


def _due(db: Database, table: type[Leased]) -> list[str]:
    """The waiting rows that are due. `enqueued_at` is written first: two sweeps do not enqueue a row twice."""
    due: list[str] = []
    state = str(table.lifecycle.waiting)
    with db.transaction() as session:
        now = session.execute(select(db_now())).scalar_one()
        columns = select(table.id, table.enqueue_count, table.enqueued_at)
        waiting = columns.where(table.state == state).order_by(table.id).limit(_AT_ONCE)
        for row_id, count, enqueued_at in session.execute(waiting).all():
            pause = min(FIRST_REENQUEUE_SECONDS * 2 ** min(count, 10), LAST_REENQUEUE_SECONDS)
            if enqueued_at is not None and now - enqueued_at <= pause:
                continue
            unchanged = (table.id == row_id, table.state == state, table.enqueue_count == count)
            reserve = update(table).where(*unchanged).values(enqueued_at=now, enqueue_count=count + 1)
            due += session.execute(reserve.returning(table.id)).scalars()
    return due
