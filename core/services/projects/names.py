"""What people call the subject of a log line: `raccoons/d2`, `raccoons/v7`. Programs find its id beside it."""

from collections.abc import Mapping

from sqlalchemy import Executable, bindparam, func, select

from core.db import Database
from core.db.tables import JobRow, OperationRow, ProjectRow, RunRow
from core.domain.errors import Unavailable
from core.domain.model_names import dataset_name, version_name

_OF_JOB = (
    select(ProjectRow.slug, JobRow.revision)
    .join(JobRow, JobRow.project_id == ProjectRow.id)
    .where(JobRow.id == bindparam("row_id"))
)
_OF_RUN = (
    select(ProjectRow.slug, JobRow.revision, RunRow.version)
    .join(JobRow, JobRow.project_id == ProjectRow.id)
    .join(RunRow, RunRow.job_id == JobRow.id)
    .where(RunRow.id == bindparam("row_id"))
)
_OF_OPERATION = (
    select(ProjectRow.slug, JobRow.revision)
    .select_from(OperationRow)
    .outerjoin(JobRow, JobRow.id == OperationRow.job_id)
    .join(ProjectRow, ProjectRow.id == func.coalesce(OperationRow.project_id, JobRow.project_id))
    .where(OperationRow.id == bindparam("row_id"))
)
_STATEMENTS: Mapping[str, Executable] = {"job": _OF_JOB, "run": _OF_RUN, "operation": _OF_OPERATION}


def log_names(db: Database, row_id: str) -> dict[str, str]:
    """Fields of a log line about a job, a run or an operation: `dataset` and `version`, or else `project`.

    Empty for the id of anything else, and while the database does not answer: a log line stops no work.
    """
    statement = _STATEMENTS.get(row_id.partition("_")[0])
    if statement is None:
        return {}
    try:
        with db.reading() as session:
            found = session.execute(statement, {"row_id": row_id}).first()
    except Unavailable:
        return {}
    return _fields(*found) if found else {}


def _fields(slug: str, revision: int | None, version: int | None = None) -> dict[str, str]:
    if revision is None:
        return {"project": slug}
    published = {"version": version_name(slug, version)} if version is not None else {}
    return {"dataset": dataset_name(slug, revision)} | published
