"""What is made of versions and datasets (exports, evaluations, bundles, predictions), deleted with them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from core.db.tables import BatchPredictionRow, BundleRow, DatasetExportRow, EvaluationRow, ExportRow, VersionRow

Derived = ExportRow | EvaluationRow | BundleRow | BatchPredictionRow | DatasetExportRow
DERIVED: Sequence[type[Derived]] = (ExportRow, EvaluationRow, BundleRow, BatchPredictionRow, DatasetExportRow)
_OF_VERSIONS = (ExportRow, EvaluationRow, BundleRow, BatchPredictionRow)
_OF_EITHER = (EvaluationRow, BatchPredictionRow)  # of a version and of a dataset


def delete_derived_of_job(session: Session, job_id: str, *, at: datetime) -> None:
    """Mark what was made of the job's versions and of its dataset, evaluations and predictions of any version too."""
    versions = select(VersionRow.id).where(VersionRow.job_id == job_id)
    _mark(session, ExportRow, ExportRow.version_id.in_(versions), at=at)
    for table in _OF_EITHER:
        _mark(session, table, or_(table.version_id.in_(versions), table.job_id == job_id), at=at)
    _mark(session, BundleRow, BundleRow.version_id.in_(versions), at=at)
    _mark(session, DatasetExportRow, DatasetExportRow.job_id == job_id, at=at)


def delete_derived_of_versions(session: Session, version_ids: Sequence[str], *, at: datetime) -> None:
    """Mark what was made of these versions."""
    for table in _OF_VERSIONS:
        _mark(session, table, table.version_id.in_(version_ids), at=at)


def delete_derived_of_project(session: Session, project_id: str, *, at: datetime) -> None:
    """Mark what was made of the project's versions, imported ones too, and datasets. Its jobs are deleted before."""
    for table in DERIVED:
        _mark(session, table, table.project_id == project_id, at=at)


def _mark(session: Session, table: type[Derived], which: ColumnElement[bool], *, at: datetime) -> None:
    session.execute(update(table).where(which, table.deleted_at.is_(None)).values(deleted_at=at))
