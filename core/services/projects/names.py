"""What people call the subject of a log line: `raccoons/d2`, `raccoons/v7`. Programs find its id beside it."""

from collections.abc import Mapping

from sqlalchemy import Executable, bindparam, func, null, select

from core.db import Database
from core.db.tables import JobRow, OperationRow, ProjectRow, RunRow, VersionRow
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
    .join(ProjectRow, ProjectRow.id == func.coalesce(JobRow.project_id, OperationRow.project_id))
    .where(OperationRow.id == bindparam("row_id"))
)
_OF_VERSION = (
    select(ProjectRow.slug, JobRow.revision, VersionRow.number)
    .join(VersionRow, VersionRow.project_id == ProjectRow.id)
    .outerjoin(JobRow, JobRow.id == VersionRow.job_id)
    .where(VersionRow.id == bindparam("row_id"))
)
_OF_PROJECT = select(ProjectRow.slug, null()).where(ProjectRow.id == bindparam("row_id"))
_STATEMENTS: Mapping[str, Executable] = {
    "job": _OF_JOB,
    "run": _OF_RUN,
    "operation": _OF_OPERATION,
    "version": _OF_VERSION,
    "project": _OF_PROJECT,
}


def log_names(db: Database, row_id: str) -> dict[str, str]:
    """Fields of a log line about the row with this id: `dataset`, `version` or both, or else `project`.

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
    dataset = {} if revision is None else {"dataset": dataset_name(slug, revision)}
    published = {} if version is None else {"version": version_name(slug, version)}
    return dataset | published or {"project": slug}
