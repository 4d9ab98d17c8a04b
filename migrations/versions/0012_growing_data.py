"""Datasets that grow: extensions, corrections, frozen test sets, exports of datasets"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNPURGED = "deleted_at IS NOT NULL AND purged_at IS NULL"
TABLES = ("corrections", "dataset_exports", "test_sets")
COLUMNS = (
    ("jobs", "imported_from", sa.JSON()),
    ("jobs", "extension", sa.JSON()),
    ("jobs", "exclusions", sa.JSON()),
    ("runs", "leak", sa.JSON()),
    ("versions", "leak", sa.JSON()),
)
INDEXES: Mapping[str, tuple[str, list[str], str]] = {
    "ix_corrections_job_id_id": ("corrections", ["job_id", "id"], ""),
    "ix_corrections_project_id": ("corrections", ["project_id"], ""),
    "ix_corrections_applied_to": ("corrections", ["applied_to"], ""),
    "ix_dataset_exports_job_id_id": ("dataset_exports", ["job_id", "id"], ""),
    "ix_dataset_exports_project_id": ("dataset_exports", ["project_id"], ""),
    "ix_dataset_exports_to_purge": ("dataset_exports", ["id"], UNPURGED),
    "ix_test_sets_job_id": ("test_sets", ["job_id"], ""),
}
UNIQUE: Mapping[str, tuple[str, list[str], str]] = {
    "uq_corrections_draft": ("corrections", ["job_id", "image"], "applied_to IS NULL"),
    "uq_test_sets_current": ("test_sets", ["project_id"], "removed_at IS NULL"),
}


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    _create_corrections()
    _create_dataset_exports()
    _create_test_sets()
    for unique, indexes in ((False, INDEXES), (True, UNIQUE)):
        for name, (table, columns, rows) in indexes.items():
            where = sa.text(rows) if rows else None
            op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    _refuse_what_has_no_place()
    for table in TABLES:
        op.drop_table(table)
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)


def _create_corrections() -> None:
    op.create_table(
        "corrections",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "job_id", "project_id")),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("applied_to", sa.String(40), nullable=True),
        *(sa.Column(name, TIME, nullable=False) for name in ("created_at", "updated_at")),
        sa.PrimaryKeyConstraint("id", name="pk_corrections"),
        *_owners("corrections"),
        sa.ForeignKeyConstraint(["applied_to"], ["jobs.id"], name="fk_corrections_applied_to"),
    )


def _create_dataset_exports() -> None:
    op.create_table(
        "dataset_exports",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "job_id", "project_id", "operation_id")),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("format", sa.String(20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("losses", sa.JSON(), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, TIME, nullable=True) for name in ("deleted_at", "purged_at")),
        sa.PrimaryKeyConstraint("id", name="pk_dataset_exports"),
        *_owners("dataset_exports"),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name="fk_dataset_exports_operation_id"),
        sa.UniqueConstraint("operation_id", name="uq_dataset_exports_operation_id"),
        sa.UniqueConstraint("key", name="uq_dataset_exports_key"),
    )


def _create_test_sets() -> None:
    op.create_table(
        "test_sets",
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("removed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("project_id", "generation", name="pk_test_sets"),
        *_owners("test_sets"),
        sa.UniqueConstraint("key", name="uq_test_sets_key"),
    )


def _owners(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    owners = {"job_id": "jobs.id", "project_id": "projects.id"}
    return tuple(sa.ForeignKeyConstraint([name], [owner], name=f"fk_{table}_{name}") for name, owner in owners.items())


def _refuse_what_has_no_place() -> None:
    """What was corrected, exported and frozen, and where datasets came from, would be lost."""
    for table, column in [*((table, None) for table in TABLES), *((table, name) for table, name, _ in COLUMNS)]:
        wanted = sa.select(sa.text("1")).select_from(sa.table(table))
        if column is not None:
            wanted = wanted.where(sa.cast(sa.column(column, sa.JSON()), sa.Text()) != "null")
        if op.get_bind().execute(wanted.limit(1)).first():
            what = f"the rows of {table}" if column is None else f"{table}.{column}"
            raise RuntimeError(f"Schema 0011 has no place for {what}; nothing was changed.")
