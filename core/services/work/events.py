"""The events of a job, a run or an operation, in order, after a given number."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from sqlalchemy import select

from core.db import Database
from core.db.base import Leased
from core.db.tables import EventRow, JobRow, OperationRow, RunRow
from core.domain.errors import JobNotFound, NotFound, OperationNotFound, RunNotFound

_IDS_AT_ONCE = 500
_NOT_FOUND: Mapping[type[Leased], type[NotFound]] = {
    JobRow: JobNotFound,
    RunRow: RunNotFound,
    OperationRow: OperationNotFound,
}
_TABLES = {table.noun(): table for table in _NOT_FOUND}


class Standing(NamedTuple):
    """The number of the newest event, and whether its job, run or operation has ended."""

    newest: int
    ended: bool


def events_after(db: Database, subject_id: str, *, seq: int, limit: int = 500) -> list[EventRow]:
    """Events with a number above `seq`, oldest first. Numbers are without gaps; an erased job has no events."""
    statement = (
        select(EventRow)
        .where(EventRow.subject_id == subject_id, EventRow.seq > seq)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    with db.reading() as session:
        return list(session.execute(statement).scalars())


def standing_of(db: Database, subject_id: str) -> Standing:
    """Raises JobNotFound, RunNotFound, OperationNotFound."""
    found = standings(db, [subject_id]).get(subject_id)
    if found is None:
        raise _NOT_FOUND[_table_of(subject_id)](f"There is no {subject_id}.", id=subject_id)
    return found


def standings(db: Database, subject_ids: Collection[str]) -> Mapping[str, Standing]:
    """The standing of each job, run and operation that exists, by its id."""
    found: dict[str, Standing] = {}
    with db.reading() as session:
        for table in _NOT_FOUND:
            for ids in _batches(iter([each for each in subject_ids if _table_of(each) is table])):
                rows = session.execute(select(table.id, table.event_seq, table.state).where(table.id.in_(ids)))
                found |= {row_id: Standing(seq, state in table.lifecycle.ended) for row_id, seq, state in rows}
    return found


def _table_of(subject_id: str) -> type[Leased]:
    return _TABLES.get(subject_id.partition("_")[0], RunRow)


def _batches(ids: Iterator[str]) -> Iterator[Sequence[str]]:
    while batch := list(islice(ids, _IDS_AT_ONCE)):
        yield batch
