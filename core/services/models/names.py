"""The version that a name means: `raccoons/v3`, `raccoons@production`, `raccoons`."""

import re

from sqlalchemy.orm import Session

from core.db.tables import VersionRow
from core.domain.errors import VersionNotFound
from core.domain.model_names import parse_model_name
from core.services.models.refs import Line, line_in
from core.services.models.versions import version_in
from core.services.projects.lookup import project_in

_OF_JOB = re.compile(r"(job_\w+)(?:/(v[1-9]\d{0,8}|latest)|@([a-z][a-z0-9_-]{0,63}))?")


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
