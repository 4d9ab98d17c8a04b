"""Predictions of many images at once"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BATCHES, ARTIFACTS = "batch_predictions", "batch_prediction_artifacts"
UNPURGED = "deleted_at IS NOT NULL AND purged_at IS NULL"
LIVING = "deleted_at IS NULL"
INDEXES: Mapping[str, tuple[list[str], str]] = {
    "ix_batch_predictions_project_id_operation_id": (["project_id", "operation_id", "deleted_at"], ""),
    "ix_batch_predictions_version_id_operation_id": (["version_id", "operation_id"], ""),
    "ix_batch_predictions_job_id_operation_id": (["job_id", "operation_id"], ""),
    "ix_batch_predictions_living_operation_id": (["operation_id"], LIVING),
    "ix_batch_predictions_to_purge": (["operation_id"], UNPURGED),
}
OWNERS = {
    "operation_id": "operations.id",
    "version_id": "versions.id",
    "export_id": "exports.id",
    "project_id": "projects.id",
    "job_id": "jobs.id",
}


def upgrade() -> None:
    op.create_table(
        BATCHES,
        *(sa.Column(name, sa.String(40), nullable=name == "job_id") for name in OWNERS),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, TIME, nullable=True) for name in ("deleted_at", "purged_at")),
        sa.PrimaryKeyConstraint("operation_id", name=f"pk_{BATCHES}"),
        *(sa.ForeignKeyConstraint([name], [owner], name=f"fk_{BATCHES}_{name}") for name, owner in OWNERS.items()),
    )
    op.create_table(
        ARTIFACTS,
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "name", name=f"pk_{ARTIFACTS}"),
        sa.ForeignKeyConstraint(["operation_id"], [f"{BATCHES}.operation_id"], name=f"fk_{ARTIFACTS}_operation_id"),
        sa.UniqueConstraint("key", name=f"uq_{ARTIFACTS}_key"),
    )
    for name, (columns, rows) in INDEXES.items():
        where = sa.text(rows) if rows else None
        op.create_index(name, BATCHES, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    _refuse_what_has_no_place()
    for table in (ARTIFACTS, BATCHES):
        op.drop_table(table)


def _refuse_what_has_no_place() -> None:
    """What was predicted would be lost."""
    if op.get_bind().execute(sa.select(sa.text("1")).select_from(sa.table(BATCHES))).first():
        raise RuntimeError(f"Schema 0010 has no place for the rows of {BATCHES}; nothing was changed.")
