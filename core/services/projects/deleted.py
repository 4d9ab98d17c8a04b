"""What was deleted, in words: which dataset of which project, when, and by which request."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.db.tables import JobRow, ProjectRow
from core.domain.errors import Gone
from core.domain.model_names import dataset_name


def deleted_job(session: Session, row: JobRow, **facts: Any) -> Gone:
    """Of a job that is deleted; `facts`: what else the caller knows."""
    project = session.get_one(ProjectRow, row.project_id)
    name = dataset_name(row.project, row.revision)
    with_project = not project.implicit and project.deleted_at is not None and project.deleted_at == row.deleted_at
    call = f"DELETE /projects/{row.project}" if with_project else f"DELETE /jobs/{row.id}"
    return Gone(
        f"The dataset {name} (the job {row.id}) was deleted on {_written(row.deleted_at)} by {call}.",
        job_id=row.id,
        dataset=name,
        **_of_project(project),
        **_when(row.deleted_at),
        deleted_by=call,
        **facts,
    )


def deleted_project(row: ProjectRow, ref: str) -> Gone:
    """Of a project that is deleted: that of a single upload with its job. `ref`: what the request calls it."""
    call = {} if row.implicit else {"deleted_by": f"DELETE /projects/{row.slug}"}
    detail = f"The project {ref} was deleted on {_written(row.deleted_at)}."
    return Gone(detail, **_of_project(row), **_when(row.deleted_at), **call)


def _of_project(project: ProjectRow) -> dict[str, Any]:
    return {"project": project.slug, "project_deleted": project.deleted_at is not None}


def _when(at: datetime | None) -> dict[str, str]:
    return {"deleted_at": at.isoformat(timespec="seconds").replace("+00:00", "Z")} if at else {}


def _written(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d at %H:%M UTC}" if at else "an unknown day"
