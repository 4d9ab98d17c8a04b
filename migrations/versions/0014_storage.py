"""Room: bytes of checkpoints, versions that are deleted singly, projects with a retention of their own"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS: Mapping[str, tuple[str, sa.types.TypeEngine[object]]] = {
    "checkpoint_bytes": ("runs", sa.BigInteger()),
    "purged_at": ("versions", TIME),
    "mlflow_deleted_at": ("versions", TIME),
}
INDEXES: Mapping[str, tuple[str, str]] = {
    "ix_versions_to_purge": ("versions", "deleted_at IS NOT NULL AND purged_at IS NULL"),
    "ix_versions_to_delete_in_mlflow": ("versions", "deleted_at IS NOT NULL AND mlflow_deleted_at IS NULL"),
    "ix_projects_own_retention": ("projects", "deleted_at IS NULL AND own_retention = true"),
}
OWN = "own_retention"
PURGED = (
    "UPDATE versions SET purged_at = deleted_at WHERE deleted_at IS NOT NULL"
    " AND (job_id IN (SELECT id FROM jobs WHERE erased_at IS NOT NULL)"
    " OR project_id IN (SELECT id FROM projects WHERE erased_at IS NOT NULL))"
)


def upgrade() -> None:
    for name, (table, kind) in COLUMNS.items():
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column("projects", sa.Column(OWN, sa.Boolean(), nullable=False, server_default=sa.false()))
    # Those deleted before go with their job or project, here and in MLflow.
    op.execute("UPDATE versions SET mlflow_deleted_at = deleted_at WHERE deleted_at IS NOT NULL")
    op.execute(PURGED)
    op.execute("UPDATE projects SET own_retention = true WHERE CAST(settings AS TEXT) LIKE '%\"retention\"%'")
    for name, (table, rows) in INDEXES.items():
        where = sa.text(rows)
        op.create_index(name, table, ["id"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    _refuse_what_has_no_place()
    for name, (table, _rows) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("projects", OWN)
    for name, (table, _kind) in COLUMNS.items():
        op.drop_column(table, name)


def _refuse_what_has_no_place() -> None:
    """Schema 0013 would leave the files of a version that is being deleted, here or in MLflow."""
    versions = sa.table("versions", *map(sa.column, ("id", "deleted_at", "purged_at", "mlflow_deleted_at")))
    singly = (versions.c.deleted_at.is_not(None), versions.c.mlflow_deleted_at.is_(None))
    unpurged = sa.select(versions.c.id).where(*singly, versions.c.purged_at.is_(None))
    found = op.get_bind().execute(unpurged.limit(1)).scalar()
    if found is not None:
        raise RuntimeError(f"The version {found} is being deleted: wait for housekeeping; nothing was changed.")
