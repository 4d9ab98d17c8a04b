"""What is queued or worked on now, oldest first: jobs, runs and operations."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Integer, bindparam, select
from sqlalchemy.orm import Session

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
    owners = {"project_id": project_id, "job_id": job_id}
    wanted = {name: value for name, value in owners.items() if value is not None}
    with db.reading() as session:
        jobs = _oldest(session, JobRow, _PREPARING, wanted, limit)
        runs = _oldest(session, RunRow, _ACTIVE, wanted, limit)
        operations = _oldest(session, OperationRow, _ACTIVE, wanted, limit)
    more = max(len(jobs), len(runs), len(operations)) > limit
    return ActiveWork(jobs[:limit], runs[:limit], operations[:limit], more)


def _oldest(
    session: Session, table: type[Row], states: Sequence[str], wanted: Mapping[str, str], limit: int
) -> list[Row]:
    """One more than `limit` where there are more. A statement a state: by the index of states and ids, while with all
    of them in one a database reads every row in the order of ids."""
    found: list[Row] = []
    for state in states:
        values = {**wanted, "state": state, "most": limit + 1}
        found += session.execute(_in_state(table, frozenset(wanted)), values).scalars()
    return sorted(found, key=lambda row: row.id)[: limit + 1]


@lru_cache(maxsize=12)  # of three tables, each for all, of a project, of a job, and of both
def _in_state(table: Any, owners: frozenset[str]) -> Any:
    """With the parameters `state`, `most` and those named in `owners`. Kept: most pages read these."""
    columns = {"project_id": table.project_id, "job_id": table.id if table is JobRow else table.job_id}
    mine = [columns[name] == bindparam(name) for name in sorted(owners)]
    statement = select(table).where(table.state == bindparam("state"), table.deleted_at.is_(None), *mine)
    return statement.order_by(table.id).limit(bindparam("most", type_=Integer))
