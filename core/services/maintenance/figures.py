"""The figures of /metrics that come from the database: queues, workers, the mirror, and totals.

No query reads more than COUNTED entries of an index, however many jobs and runs there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core import clock
from core.db.base import Leased
from core.db.clock import db_now
from core.db.tables import RunRow, WorkerRow
from core.db.totals import Total, read_totals
from core.domain.states import RUN_ENDED
from core.queue import ROLES
from core.services.context import Platform
from core.services.work.leases import TABLES
from core.services.work.locks import ALIVE_SECONDS

COUNTED = 10_000  # a longer queue is reported as this long; index entries, read in 2 ms
COUNTED_BEHIND = 1_000  # rows
OLDEST = 100

Where = tuple[ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows that wait for something, and the seconds that the oldest of them has waited."""

    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    queues: Mapping[str, Waiting]  # by role
    active: Mapping[tuple[str, str], int]  # by role and state
    workers: Mapping[str, int]  # alive, by role
    mirror: Waiting | None  # ended runs that MLflow lacks; None without MLflow
    totals: list[Total]


def read_figures(platform: Platform) -> Figures:
    """Raises Unavailable."""
    with platform.db.reading() as session:
        return Figures(
            queues={ROLES[task]: _waiting_in(session, table) for task, table in TABLES.items()},
            active={
                (ROLES[task], str(state)): _active(session, table, state)
                for task, table in TABLES.items()
                for state in sorted(table.lifecycle.active)
            },
            workers=_workers(session),
            mirror=_behind(session) if platform.settings.mlflow_url else None,
            totals=read_totals(session),
        )


def _waiting_in(session: Session, table: type[Leased]) -> Waiting:
    waiting = (table.state == str(table.lifecycle.waiting),)
    return Waiting(_count(session, table, waiting, COUNTED), _oldest_seconds(session, table, waiting))


def _active(session: Session, table: type[Leased], state: StrEnum) -> int:
    return _count(session, table, (table.state == str(state),), COUNTED)


def _behind(session: Session) -> Waiting:
    """By the index of the runs that are not complete in MLflow; each is read for its state."""
    unmirrored = (RunRow.deleted_at.is_(None), RunRow.mirrored_at.is_(None))
    behind = (*unmirrored, RunRow.state.in_(sorted(map(str, RUN_ENDED))))
    return Waiting(_count(session, RunRow, behind, COUNTED_BEHIND), _oldest_seconds(session, RunRow, behind))


def _count(session: Session, table: type[Leased], where: Where, limit: int) -> int:
    rows = select(table.id).where(*where).order_by(table.id).limit(limit).subquery()
    return session.execute(select(func.count()).select_from(rows)).scalar_one()


def _oldest_seconds(session: Session, table: type[Leased], where: Where) -> float:
    """Of the rows that were made first: a row made later that waits longer is not seen while 100 others wait."""
    rows = select(table.updated_at.label("since")).where(*where).order_by(table.id).limit(OLDEST).subquery()
    since = session.execute(select(func.min(rows.c.since))).scalar_one()
    return max(0.0, (clock.now() - since).total_seconds()) if since else 0.0


def _workers(session: Session) -> dict[str, int]:
    alive = select(WorkerRow.role, func.count()).where(WorkerRow.seen_at > db_now() - ALIVE_SECONDS)
    return {role: count for role, count in session.execute(alive.group_by(WorkerRow.role)).all()}
