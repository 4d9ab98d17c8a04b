"""Deleted exports, evaluations, bundles and predictions whose objects still exist. A tombstone keeps their ids."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select, update

from core import clock
from core.db import Database
from core.db.tables import (
    BatchPredictionArtifactRow,
    BatchPredictionRow,
    BundleRow,
    DatasetExportRow,
    EvaluationArtifactRow,
    EvaluationRow,
    ExportRow,
)
from core.domain.keys import derived_prefix
from core.services.jobs.derived import DERIVED, Derived
from core.services.maintenance.erasure import ROWS_AT_ONCE, delete_rows

_AT_ONCE = 100
_EMPTIED: Mapping[type[Derived], Mapping[str, Any]] = {
    ExportRow: {"options": {}, "certificate": {}},
    EvaluationRow: {"metrics": {}},
    BundleRow: {"contents": []},
    BatchPredictionRow: {"summary": None},
    DatasetExportRow: {"losses": [], "file_name": ""},
}


class Purgeable(NamedTuple):
    """A deleted row, by the operation that made it, and the prefix of its objects."""

    table: type[Derived]
    operation_id: str

    @property
    def prefix(self) -> str:
        return derived_prefix(self.table.__tablename__, self.operation_id)


def derived_to_purge(db: Database) -> list[Purgeable]:
    """At most _AT_ONCE of each table, oldest first."""
    with db.reading() as session:
        return [
            Purgeable(table, operation_id)
            for table in DERIVED
            for operation_id in session.execute(
                select(table.operation_id)
                .where(table.deleted_at.is_not(None), table.purged_at.is_(None))
                .order_by(*table.__table__.primary_key)
                .limit(_AT_ONCE)
            ).scalars()
        ]


def note_derived_purged(db: Database, purged: Purgeable) -> None:
    """Record that its objects are deleted, and leave the tombstone."""
    mine = (purged.table.operation_id == purged.operation_id,)
    if purged.table is EvaluationRow:
        with db.reading() as session:
            evaluation_id = session.execute(select(EvaluationRow.id).where(*mine)).scalar_one()
        owner, key = EvaluationArtifactRow.evaluation_id, EvaluationArtifactRow.name
        delete_rows(db, owner, key, evaluation_id, ROWS_AT_ONCE)
    if purged.table is BatchPredictionRow:
        owner, key = BatchPredictionArtifactRow.operation_id, BatchPredictionArtifactRow.name
        delete_rows(db, owner, key, purged.operation_id, ROWS_AT_ONCE)
    with db.transaction() as session:
        left = update(purged.table).where(*mine).values(**_EMPTIED[purged.table], purged_at=clock.now())
        session.execute(left)
