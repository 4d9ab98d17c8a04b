"""Datasets that are to be prepared of the stored ZIP of another one, which is not deleted before they have it."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, aliased

from core.db.tables import JobRow, ProjectRow
from core.domain.model_names import dataset_name
from core.domain.states import JobState

_PENDING = [str(state) for state in (JobState.RECEIVED, JobState.PREPARING)]
_Source = aliased(JobRow)


@dataclass(frozen=True, slots=True)
class PendingCopy:
    """`why`: what an error says of it, and what to do."""

    job_id: str
    why: str


def pending_copy_of_job(session: Session, job: JobRow) -> PendingCopy | None:
    """The first job that is still to copy the ZIP of this one."""
    return _first(session, _Source.id == job.id)


def pending_copy_of_project(session: Session, project: ProjectRow) -> PendingCopy | None:
    """The first job of another project that is still to copy the ZIP of a dataset of this one."""
    return _first(session, _Source.project_id == project.id, JobRow.project_id != project.id)


def _first(session: Session, *which: ColumnElement[bool]) -> PendingCopy | None:
    origin = JobRow.imported_from
    copies = (origin["kind"].as_string() == "dataset", JobRow.source_key.is_(None), JobRow.state.in_(_PENDING))
    pairs = select(JobRow, _Source).join(_Source, origin["location"].as_string() == _Source.id)
    found = session.execute(pairs.where(*copies, *which).order_by(JobRow.id).limit(1)).first()
    if found is None:
        return None
    job, source = found
    name, of = (dataset_name(each.project, each.revision) for each in (job, source))
    detail = f"{name} (the job {job.id}) is to be prepared of the ZIP of {of}: wait until it is, or delete it first."
    return PendingCopy(job.id, detail)
