"""Deleted versions that were imported: with a run or a job they would go with those."""

from typing import Any

from sqlalchemy import delete, exists, select, update

from core.db import Database
from core.db.tables import ArtifactRow, VersionRow

_AT_ONCE = 100


def imports_to_purge(db: Database) -> list[tuple[str, str]]:
    """(version, operation) ids of deleted imported versions whose artifacts are still there."""
    imported = (VersionRow.operation_id.is_not(None), VersionRow.deleted_at.is_not(None))
    kept = exists().where(ArtifactRow.version_id == VersionRow.id)
    statement = select(VersionRow.id, VersionRow.operation_id).where(*imported, kept).limit(_AT_ONCE)
    with db.reading() as session:
        return [(version_id, str(operation_id)) for version_id, operation_id in session.execute(statement)]


def forget_import(db: Database, version_id: str) -> None:
    """Once its objects are deleted: its id, number and digests stay."""
    with db.transaction() as session:
        session.execute(delete(ArtifactRow).where(ArtifactRow.version_id == version_id))
        cleared: dict[str, Any] = {"params": {}, "metrics": {}, "mlflow_refused": None}
        session.execute(update(VersionRow).where(VersionRow.id == version_id).values(**cleared))
