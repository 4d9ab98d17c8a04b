"""The dataset that a name means: `raccoons/d2`, within a project `d2`; or the id of its job."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.tables import JobRow, ProjectRow
from core.domain.errors import JobNotFound
from core.domain.model_names import dataset_name
from core.services.jobs.commands import job_in
from core.services.projects.deleted import deleted_job
from core.services.projects.lookup import project_in

_NAME = re.compile(r"(?:(?P<slug>[^/]+)/)?d(?P<revision>[1-9]\d{0,8})")


def dataset_in(session: Session, text: str, *, project: ProjectRow | None = None) -> JobRow:
    """A job by its id, or by `raccoons/d2`, where the project may have been renamed; `d2` is of `project`.

    Raises JobNotFound, ProjectNotFound, Gone.
    """
    name = _NAME.fullmatch(text)
    if name is None or (project is None and not name["slug"]):
        return job_in(session, text)
    owner = project_in(session, name["slug"], follow=True) if name["slug"] or project is None else project
    return _revision_in(session, owner, int(name["revision"]))


def _revision_in(session: Session, project: ProjectRow, revision: int) -> JobRow:
    same = (JobRow.project_id == project.id, JobRow.revision == revision)
    row = session.execute(select(JobRow).where(*same)).scalar_one_or_none()
    if row is None:
        name = dataset_name(project.slug, revision)
        raise JobNotFound(f"There is no dataset {name}.", dataset=name)
    if row.deleted_at is not None:
        raise deleted_job(session, row)
    return row
