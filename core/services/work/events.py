"""The events of a job or a run, in order, after a given number."""

from sqlalchemy import select

from core.db import Database
from core.db.base import Leased
from core.db.tables import EventRow, JobRow, RunRow
from core.domain.errors import JobNotFound, RunNotFound


def events_after(db: Database, subject_id: str, *, seq: int, limit: int = 500) -> list[EventRow]:
    """Events with a number above `seq`, oldest first. Numbers are without gaps."""
    statement = (
        select(EventRow)
        .where(EventRow.subject_id == subject_id, EventRow.seq > seq)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    with db.reading() as session:
        return list(session.execute(statement).scalars())


def newest_event(db: Database, subject_id: str) -> tuple[int, bool]:
    """The number of the newest event, and whether its job or run has ended. Raises JobNotFound, RunNotFound."""
    table: type[Leased] = JobRow if subject_id.startswith("job_") else RunRow
    with db.reading() as session:
        row = session.get(table, subject_id)
    if row is None:
        error = JobNotFound if table is JobRow else RunNotFound
        raise error(f"There is no {subject_id}.", id=subject_id)
    return row.event_seq, row.state in table.lifecycle.ended
