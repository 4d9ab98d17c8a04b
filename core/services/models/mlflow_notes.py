"""Notes, on rows, of what the run tracker has of them, and of what it refused."""

from typing import Any

from sqlalchemy import case, func, update

from core import clock
from core.db import Database
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow

Refusable = RunRow | VersionRow | ProjectRow | JobRow


def note_refused(db: Database, row: Refusable, reason: str) -> None:
    with db.transaction() as session:
        session.execute(update(type(row)).where(type(row).id == row.id).values(mlflow_refused=reason))


def note_project_begun(db: Database, project: ProjectRow) -> None:
    """Before the tracker makes anything of it: so that it is deleted there, even after a crash in between."""
    unnamed = (ProjectRow.id == project.id, ProjectRow.mlflow_name.is_(None))
    with db.transaction() as session:
        session.execute(update(ProjectRow).where(*unnamed).values(mlflow_name=project.slug))


def note_project_opened(db: Database, project: ProjectRow, *, experiment_id: str, name: str) -> None:
    """The names in the tracker. Of a project that was new there, it is then up to date."""
    updated_at = func.coalesce(ProjectRow.mlflow_updated_at, project.updated_at)
    values = {"mlflow_experiment_id": experiment_id, "mlflow_name": name, "mlflow_updated_at": updated_at}
    with db.transaction() as session:
        session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(**values, mlflow_refused=None))


def note_project_updated(db: Database, project: ProjectRow) -> None:
    """Record that the tracker has everything of the project as `project` was read."""
    with db.transaction() as session:
        updated = {"mlflow_updated_at": project.updated_at, "mlflow_refused": None}
        session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(**updated))


def note_project_forgotten(db: Database, project_id: str) -> None:
    with db.transaction() as session:
        forgotten = {"mlflow_name": None, "mlflow_updated_at": None, "mlflow_refused": None}
        session.execute(update(ProjectRow).where(ProjectRow.id == project_id).values(**forgotten))


def note_run_mirrored(db: Database, run_id: str, **values: Any) -> None:
    """Sets mlflow_run_id, mirror_seq and the like; a refusal before is over."""
    with db.transaction() as session:
        session.execute(update(RunRow).where(RunRow.id == run_id).values(**values, mlflow_refused=None))


def note_run_complete(db: Database, run: RunRow) -> None:
    """Record that the tracker has everything of the run, unless it was retried since `run` was read."""
    as_read = (RunRow.id == run.id, RunRow.state == run.state, RunRow.attempt == run.attempt)
    with db.transaction() as session:
        session.execute(update(RunRow).where(*as_read).values(mirrored_at=clock.now(), mlflow_refused=None))


def note_version_mirrored(db: Database, version_id: str, **values: Any) -> None:
    """Sets mlflow_version, mlflow_model_id and the like; a refusal before is over."""
    with db.transaction() as session:
        session.execute(update(VersionRow).where(VersionRow.id == version_id).values(**values, mlflow_refused=None))


def forget_copies(db: Database) -> None:
    """Record that the tracker has nothing: the sync sends projects, runs, versions and aliases again."""
    of_run = {"mlflow_experiment_id": None, "mlflow_run_id": None, "mlflow_refused": None}
    of_version = dict.fromkeys(("mlflow_run_id", "mlflow_model_id", "mlflow_version", "mlflow_refused"))
    of_project = dict.fromkeys(("mlflow_experiment_id", "mlflow_name", "mlflow_updated_at", "mlflow_refused"))
    with db.transaction() as session:
        session.execute(update(ProjectRow).where(ProjectRow.deleted_at.is_(None)).values(**of_project))
        runs = update(RunRow).where(RunRow.deleted_at.is_(None))
        session.execute(runs.values(**of_run, mirror_seq=0, mirrored_at=None))
        session.execute(update(VersionRow).where(VersionRow.deleted_at.is_(None)).values(**of_version))
        # A removed alias is in no tracker.
        session.execute(update(AliasRow).values(mirrored_number=case((AliasRow.number == 0, 0), else_=None)))


def note_version_forgotten(db: Database, version_id: str) -> None:
    with db.transaction() as session:
        forgotten = {"mlflow_deleted_at": clock.now(), "mlflow_refused": None}
        session.execute(update(VersionRow).where(VersionRow.id == version_id).values(**forgotten))


def note_alias_mirrored(db: Database, alias: AliasRow) -> None:
    mine = (AliasRow.project_id == alias.project_id, AliasRow.alias == alias.alias)
    with db.transaction() as session:
        session.execute(update(AliasRow).where(*mine).values(mirrored_number=alias.number))


def note_job_forgotten(db: Database, job_id: str) -> None:
    with db.transaction() as session:
        forgotten = {"mlflow_deleted_at": clock.now(), "mlflow_refused": None}
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**forgotten))
