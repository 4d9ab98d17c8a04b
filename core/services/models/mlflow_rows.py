"""The rows that the pages of a run or a version in the run tracker are written from."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import JobRow, ProjectRow, RunRow, VersionRow
from core.domain.model_names import version_name


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A run and its version, or an imported version, which has no run.

    `job`: the dataset that it was trained on, or that an imported one was evaluated on. `parent`: `raccoons/v2`, if it
    is fine-tuned.
    """

    project: ProjectRow
    job: JobRow | None
    run: RunRow | None
    version: VersionRow | None
    parent: str | None


def rows_of_run(db: Database, run: RunRow) -> Mirrored:
    with db.reading() as session:
        version = session.execute(select(VersionRow).where(VersionRow.run_id == run.id)).scalar_one_or_none()
        project, job = session.get_one(ProjectRow, run.project_id), session.get_one(JobRow, run.job_id)
        return Mirrored(project, job, run, version, _name_of(session, run.parent_id))


def rows_of_version(db: Database, version: VersionRow) -> Mirrored:
    with db.reading() as session:
        project = session.get_one(ProjectRow, version.project_id)
        job_id = version.job_id or (version.params.get("dataset") or {}).get("job_id")
        job = session.get_one(JobRow, job_id) if job_id else None
        run = session.get_one(RunRow, version.run_id) if version.run_id else None
        return Mirrored(project, job, run, version, _name_of(session, version.parent_id))


def project_row(db: Database, project_id: str) -> ProjectRow:
    """Also of a deleted one."""
    with db.reading() as session:
        return session.get_one(ProjectRow, project_id)


def _name_of(session: Session, version_id: str | None) -> str | None:
    if version_id is None:
        return None
    named = select(ProjectRow.slug, VersionRow.number).join(ProjectRow, ProjectRow.id == VersionRow.project_id)
    row = session.execute(named.where(VersionRow.id == version_id)).one()
    return version_name(*row)
