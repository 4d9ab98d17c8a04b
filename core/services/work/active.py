"""What is queued or worked on now, oldest first: jobs, runs and operations."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db import Database
from core.db.tables import JobRow, OperationRow, RunRow
from core.domain.states import RUN_ACTIVE, JobState

_PREPARING = tuple(str(state) for state in (JobState.RECEIVED, JobState.PREPARING))
_ACTIVE = tuple(sorted(str(state) for state in RUN_ACTIVE))

Row = TypeVar("Row", JobRow, RunRow, OperationRow)


class ActiveWork(NamedTuple):
    """`more`: whether there is more of any kind than is listed."""

    jobs: Sequence[JobRow]
    runs: Sequence[RunRow]
    operations: Sequence[OperationRow]
    more: bool


def active_work(db: Database, *, limit: int, project_id: str | None = None, job_id: str | None = None) -> ActiveWork:
    """At most `limit` of each kind; those of one project, or those that belong to one job, where it is given."""
    with db.reading() as session:
        jobs = _oldest(session, JobRow, _PREPARING, _mine(JobRow, JobRow.id, project_id, job_id), limit)
        runs = _oldest(session, RunRow, _ACTIVE, _mine(RunRow, RunRow.job_id, project_id, job_id), limit)
        owned = _mine(OperationRow, OperationRow.job_id, project_id, job_id)
        operations = _oldest(session, OperationRow, _ACTIVE, owned, limit)
    more = max(len(jobs), len(runs), len(operations)) > limit
    return ActiveWork(jobs[:limit], runs[:limit], operations[:limit], more)


def _mine(
    table: type[JobRow] | type[RunRow] | type[OperationRow],
    job_column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    project_id: str | None,
    job_id: str | None,
) -> list[ColumnElement[bool]]:
    mine: list[ColumnElement[bool]] = [table.deleted_at.is_(None)]
    if project_id is not None:
        mine.append(table.project_id == project_id)
    if job_id is not None:
        mine.append(job_column == job_id)
    return mine


def _oldest(
    session: Session, table: type[Row], states: Sequence[str], mine: Sequence[ColumnElement[bool]], limit: int
) -> list[Row]:
    """One more than `limit` where there are more. A statement a state: by the index of states and ids, while with all
    of them in one a database reads every row in the order of ids."""
    found: list[Row] = []
    for state in states:
        statement = select(table).where(table.state == state, *mine).order_by(table.id).limit(limit + 1)
        found += session.execute(statement).scalars()
    return sorted(found, key=lambda row: row.id)[: limit + 1]
