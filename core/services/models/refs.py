"""Whose versions are meant: those of a job, by its id, or those of a project, by its slug or id."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import JobRow, ProjectRow, VersionRow
from core.services.jobs.commands import job_in
from core.services.projects.lookup import project_in


@dataclass(frozen=True, slots=True)
class Line:
    """A project's line of versions, or the part of it that is one job's."""

    project: ProjectRow
    job: JobRow | None

    @property
    def has_version(self) -> ColumnElement[bool]:
        """The condition of its versions."""
        if self.job is not None:
            return VersionRow.job_id == self.job.id
        return VersionRow.project_id == self.project.id

    @property
    def called(self) -> str:
        return f"The job {self.job.id}" if self.job is not None else f"The project {self.project.slug}"

    @property
    def facts(self) -> dict[str, Any]:
        """For an error about it."""
        return {"job_id": self.job.id} if self.job is not None else {"project": self.project.slug}


def is_job(ref: str) -> bool:
    return ref.startswith("job_")


def line_in(session: Session, ref: str, *, lock: bool = False) -> Line:
    """`ref`: the id of a job, or the slug or id of a project. `lock` locks the project's row.

    Raises JobNotFound, ProjectNotFound, ProjectRenamed, Gone.
    """
    if not is_job(ref):
        return Line(project_in(session, ref, lock=lock), None)
    job = job_in(session, ref)
    project = project_in(session, job.project_id, lock=lock)
    return Line(project, job_in(session, ref) if lock else job)  # under the lock it cannot be deleted any more


def slug_of_line(db: Database, ref: str) -> str:
    """`ref` as for `line_in`."""
    with db.reading() as session:
        return line_in(session, ref).project.slug


def name_of_line(db: Database, version: VersionRow) -> str:
    """For the names of downloaded files: that of its project, or of the upload that named no project."""
    with db.reading() as session:
        project = project_in(session, version.project_id)
        if project.implicit and version.job_id is not None:
            return job_in(session, version.job_id).name
        return project.slug
