"""Exports, evaluations and bundles of model versions"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNPURGED = "deleted_at IS NOT NULL AND purged_at IS NULL"
LIVING = "deleted_at IS NULL"
INDEXES: Mapping[str, tuple[str, list[str], str]] = {
    "ix_exports_version_id_id": ("exports", ["version_id", "id"], ""),
    "ix_exports_project_id": ("exports", ["project_id"], ""),
    "ix_exports_to_purge": ("exports", ["id"], UNPURGED),
    "ix_evaluations_project_id_id": ("evaluations", ["project_id", "id", "deleted_at"], ""),
    "ix_evaluations_version_id_id": ("evaluations", ["version_id", "id"], ""),
    "ix_evaluations_job_id_id": ("evaluations", ["job_id", "id"], ""),
    "ix_evaluations_export_id": ("evaluations", ["export_id"], ""),
    "ix_evaluations_living_id": ("evaluations", ["id"], LIVING),
    "ix_evaluations_to_purge": ("evaluations", ["id"], UNPURGED),
    "ix_bundles_export_id": ("bundles", ["export_id"], ""),
    "ix_bundles_project_id": ("bundles", ["project_id"], ""),
    "ix_bundles_to_purge": ("bundles", ["version_id"], UNPURGED),
}
TABLES = ("bundles", "evaluation_artifacts", "evaluations", "exports")


def upgrade() -> None:
    _create_exports()
    _create_evaluations()
    _create_bundles()
    for name, (table, columns, rows) in INDEXES.items():
        where = sa.text(rows) if rows else None
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    _refuse_what_has_no_place()
    for table in TABLES:
        op.drop_table(table)


def _create_exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.String(40), nullable=False),
        *_of_version(),
        sa.Column("format", sa.String(20), nullable=False),
        sa.Column("precision", sa.String(10), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        *_object(),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("certificate", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
        *_keys_of("exports"),
        sa.UniqueConstraint("key", name="uq_exports_key"),
    )


def _create_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(40), nullable=False),
        *_of_version(),
        sa.Column("export_id", sa.String(40), nullable=True),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("split", sa.String(10), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        *_keys_of("evaluations"),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name="fk_evaluations_export_id"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_evaluations_job_id"),
    )
    op.create_table(
        "evaluation_artifacts",
        sa.Column("evaluation_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        *_object(),
        sa.PrimaryKeyConstraint("evaluation_id", "name", name="pk_evaluation_artifacts"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_evaluation_artifacts_evaluation_id"),
        sa.UniqueConstraint("key", name="uq_evaluation_artifacts_key"),
    )


def _create_bundles() -> None:
    op.create_table(
        "bundles",
        *_of_version(),
        sa.Column("export_id", sa.String(40), nullable=False),
        *_object()[:-1],
        sa.Column("contents", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("version_id", name="pk_bundles"),
        *_keys_of("bundles"),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name="fk_bundles_export_id"),
        sa.UniqueConstraint("key", name="uq_bundles_key"),
    )


def _of_version() -> tuple[sa.Column[str], ...]:
    names = ("version_id", "project_id", "operation_id")
    return tuple(sa.Column(name, sa.String(40), nullable=False) for name in names)


def _object() -> tuple[sa.Column[str] | sa.Column[int], ...]:
    return (
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
    )


def _times() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, TIME, nullable=True) for name in ("deleted_at", "purged_at")),
    )


def _keys_of(table: str) -> tuple[sa.Constraint, ...]:
    owners = ("version_id", "versions.id"), ("project_id", "projects.id"), ("operation_id", "operations.id")
    return (
        *(sa.ForeignKeyConstraint([name], [owner], name=f"fk_{table}_{name}") for name, owner in owners),
        sa.UniqueConstraint("operation_id", name=f"uq_{table}_operation_id"),
    )


def _refuse_what_has_no_place() -> None:
    """What was measured about a version would be lost."""
    connection = op.get_bind()
    found = [
        table for table in TABLES if connection.execute(sa.select(sa.text("1")).select_from(sa.table(table))).first()
    ]
    if found:
        raise RuntimeError(f"Schema 0009 has no place for the rows of {', '.join(found)}; nothing was changed.")
