"""The version and the dataset that a name means: `raccoons/v3`, `raccoons@production`, `raccoons`; `raccoons/d2`."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.tables import JobRow, ProjectRow, VersionRow
from core.domain.errors import JobNotFound, VersionNotFound
from core.domain.model_names import dataset_name, parse_model_name
from core.services.jobs.commands import job_in
from core.services.models.refs import Line, is_job, line_in
from core.services.models.versions import version_in
from core.services.projects.deleted import deleted_job
from core.services.projects.lookup import project_in

_OF_JOB = re.compile(r"(job_\w+)(?:/(v[1-9]\d{0,8}|latest)|@([a-z][a-z0-9_-]{0,63}))?")
_REVISION = re.compile(r"d([1-9]\d{0,8})")


def model_in(session: Session, text: str, *, project_id: str | None = None) -> VersionRow:
    """By the grammar of `core.domain.model_names`, with the id of a job in place of a project too: then of that job.

    `project_id`: whose `v3` and `@production` are meant. Raises VersionNotFound, AliasNotFound, AliasElsewhere,
    JobNotFound, ProjectNotFound, Gone.
    """
    if match := _OF_JOB.fullmatch(text):
        ref, version, alias = match.groups()
        return version_in(session, line_in(session, ref), version=version, alias=alias)
    name = parse_model_name(text)
    ref = name and (name.project or project_id)
    if name is None or not ref:
        detail = f"{text[:80]!r} is no name of a model: use raccoons/v3, raccoons@production, raccoons or a job's id."
        raise VersionNotFound(detail, version=text[:80])
    project = project_in(session, ref, follow=True)
    return version_in(session, Line(project, None), version=name.version, alias=name.alias)


def dataset_in(session: Session, text: str, *, project: ProjectRow | None = None) -> JobRow:
    """A job by its id, or by `raccoons/d2`; `d2` is of `project`. Raises JobNotFound, ProjectNotFound, Gone."""
    slug, slash, revision = text.rpartition("/")
    match = _REVISION.fullmatch(revision)
    if match is None or is_job(text) or not (slash or project):
        return job_in(session, text)
    owner = project_in(session, slug, follow=True) if slash or project is None else project
    return _revision_in(session, owner, int(match[1]))


def _revision_in(session: Session, project: ProjectRow, revision: int) -> JobRow:
    same = (JobRow.project_id == project.id, JobRow.revision == revision)
    row = session.execute(select(JobRow).where(*same)).scalar_one_or_none()
    name = dataset_name(project.slug, revision)
    if row is None:
        raise JobNotFound(f"There is no dataset {name}.", dataset=name)
    if row.deleted_at is not None:
        raise deleted_job(session, row)
    return row
