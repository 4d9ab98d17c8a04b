"""What is queued or worked on now, oldest first: jobs, runs and operations."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from core.db import Database
from core.db.tables import JobRow, OperationRow, RunRow
from core.domain.states import RUN_ACTIVE, JobState

_PREPARING = tuple(str(state) for state in (JobState.RECEIVED, JobState.PREPARING))
_ACTIVE = tuple(sorted(str(state) for state in RUN_ACTIVE))


class ActiveWork(NamedTuple):
    """`more`: whether there is more of any kind than is listed."""

    jobs: Sequence[JobRow]
    runs: Sequence[RunRow]
    operations: Sequence[OperationRow]
    more: bool


def active_work(db: Database, *, limit: int, project_id: str | None = None, job_id: str | None = None) -> ActiveWork:
    """At most `limit` of each kind; those of one project, or those that belong to one job, where it is given."""
    jobs = select(JobRow).where(JobRow.state.in_(_PREPARING), JobRow.deleted_at.is_(None))
    runs = select(RunRow).where(RunRow.state.in_(_ACTIVE), RunRow.deleted_at.is_(None))
    operations = select(OperationRow).where(OperationRow.state.in_(_ACTIVE), OperationRow.deleted_at.is_(None))
    if project_id is not None:
        jobs = jobs.where(JobRow.project_id == project_id)
        runs = runs.where(RunRow.project_id == project_id)
        operations = operations.where(OperationRow.project_id == project_id)
    if job_id is not None:
        jobs = jobs.where(JobRow.id == job_id)
        runs = runs.where(RunRow.job_id == job_id)
        operations = operations.where(OperationRow.job_id == job_id)
    with db.reading() as session:
        found_jobs = session.execute(jobs.order_by(JobRow.id).limit(limit + 1)).scalars().all()
        found_runs = session.execute(runs.order_by(RunRow.id).limit(limit + 1)).scalars().all()
        found_operations = session.execute(operations.order_by(OperationRow.id).limit(limit + 1)).scalars().all()
    more = max(len(found_jobs), len(found_runs), len(found_operations)) > limit
    return ActiveWork(found_jobs[:limit], found_runs[:limit], found_operations[:limit], more)
