"""The dataset that stands for a project where it is drawn."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select

from core.db import Database
from core.db.tables import JobRow
from core.domain.states import JobState

_NEWEST = (
    select(JobRow.project_id, func.max(JobRow.id))
    .where(
        JobRow.project_id.in_(bindparam("project_ids", expanding=True)),
        JobRow.state == str(JobState.READY),
    )
    .group_by(JobRow.project_id)
)


def newest_ready_jobs(db: Database, project_ids: Sequence[str]) -> Mapping[str, str]:
    """By the ids of projects, the id of the newest job that is ready; nothing for a project without one."""
    with db.reading() as session:
        found = session.execute(_NEWEST, {"project_ids": list(project_ids)})
        return {project_id: job_id for project_id, job_id in found}
