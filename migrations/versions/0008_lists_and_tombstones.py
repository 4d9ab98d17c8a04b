"""Indexes in the order of the lists; what remains of a deleted job; a version lists its artifacts itself; the metadata
that a client sends with an upload; totals for /metrics"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LIVING = "deleted_at IS NULL"
# Each ends in the column that its list is ordered by: a page is read from the index, without a sort.
INDEXES: Mapping[str, tuple[str, list[str], str]] = {
    "ix_jobs_state_id": ("jobs", ["state", "id"], ""),
    "ix_jobs_fingerprint_state_id": ("jobs", ["fingerprint", "state", "id"], ""),
    "ix_jobs_living_id": ("jobs", ["id"], LIVING),
    "ix_jobs_to_erase": ("jobs", ["id"], "deleted_at IS NOT NULL AND erased_at IS NULL"),
    "ix_jobs_to_delete_in_mlflow": ("jobs", ["id"], "deleted_at IS NOT NULL AND mlflow_deleted_at IS NULL"),
    "ix_runs_state_id": ("runs", ["state", "id"], ""),
    "ix_runs_job_id_id": ("runs", ["job_id", "id"], ""),
    "ix_runs_living_id": ("runs", ["id"], LIVING),
    "ix_runs_living_state_id": ("runs", ["state", "id"], LIVING),
    "ix_runs_to_mirror": ("runs", ["id"], "deleted_at IS NULL AND mirrored_at IS NULL"),
    "ix_runs_refused_by_mlflow": ("runs", ["id"], "deleted_at IS NULL AND mlflow_refused IS NOT NULL"),
    "ix_versions_job_id_id": ("versions", ["job_id", "id"], ""),
    "ix_versions_living_id": ("versions", ["id"], LIVING),
    "ix_versions_to_mirror": ("versions", ["job_id", "number"], "deleted_at IS NULL AND mlflow_version IS NULL"),
    "ix_versions_refused_by_mlflow": ("versions", ["run_id"], "deleted_at IS NULL AND mlflow_refused IS NOT NULL"),
    "ix_findings_job_id_code_number": ("findings", ["job_id", "code", "number"], ""),
    "ix_findings_job_id_severity_number": ("findings", ["job_id", "severity", "number"], ""),
    "ix_uploads_state_expires_at": ("uploads", ["state", "expires_at"], ""),
}
REPLACED: Mapping[str, tuple[str, list[str], str]] = {
    "ix_jobs_state": ("jobs", ["state"], ""),
    "ix_jobs_fingerprint": ("jobs", ["fingerprint"], ""),
    "ix_runs_state": ("runs", ["state"], ""),
    "ix_runs_job_id": ("runs", ["job_id"], ""),
    "ix_findings_job_id_code": ("findings", ["job_id", "code"], ""),
}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "jobs": ("erased_at", "mlflow_deleted_at"),
    "runs": ("deleted_at",),
    "versions": ("deleted_at",),
}
_AT_ONCE = 500

JOBS = sa.table("jobs", sa.column("id"), sa.column("deleted_at"))
ARTIFACTS = sa.table("artifacts", *map(sa.column, ("version_id", "name", "bytes", "sha256", "media_type")))
VERSIONS = sa.table("versions", *map(sa.column, ("id", "job_id", "number")), sa.column("artifacts", sa.JSON))


def upgrade() -> None:
    for table, names in COLUMNS.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("versions", sa.Column("artifacts", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("uploads", sa.Column("client_metadata", sa.Text(), nullable=True))
    for name in ("runs", "versions"):
        _delete_with_jobs(sa.table(name, sa.column("job_id"), sa.column("deleted_at")))
    _list_artifacts()
    op.create_table(
        "totals",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("labels", sa.String(200), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name="pk_totals"),
    )
    _replace_indexes(REPLACED, INDEXES)


def downgrade() -> None:
    _replace_indexes(INDEXES, REPLACED)
    op.drop_column("uploads", "client_metadata")
    op.drop_table("totals")
    op.drop_column("versions", "artifacts")
    for table, names in COLUMNS.items():
        for name in names:
            op.drop_column(table, name)


def _delete_with_jobs(table: sa.TableClause) -> None:
    deleted = sa.select(JOBS.c.id).where(JOBS.c.deleted_at.is_not(None))
    when = sa.select(JOBS.c.deleted_at).where(JOBS.c.id == table.c.job_id).scalar_subquery()
    op.execute(sa.update(table).where(table.c.job_id.in_(deleted)).values(deleted_at=when))


def _list_artifacts() -> None:
    """Each version's artifacts, sorted by name, from their rows."""
    bind = op.get_bind()
    after = ""
    while version_ids := _page_of_versions(after):
        columns = sa.select(ARTIFACTS).where(ARTIFACTS.c.version_id.in_(list(version_ids)))
        rows = bind.execute(columns.order_by(ARTIFACTS.c.version_id, ARTIFACTS.c.name)).mappings().all()
        for version_id, artifacts in groupby(rows, key=lambda row: row["version_id"]):
            listed = [_listed(artifact, version_ids[version_id]) for artifact in artifacts]
            bind.execute(sa.update(VERSIONS).where(VERSIONS.c.id == version_id).values(artifacts=listed))
        after = max(version_ids)


def _page_of_versions(after: str) -> dict[str, str]:
    """The path of each version by its id."""
    columns = sa.select(VERSIONS.c.id, VERSIONS.c.job_id, VERSIONS.c.number)
    page = columns.where(VERSIONS.c.id > after).order_by(VERSIONS.c.id).limit(_AT_ONCE)
    return {version_id: f"/models/{job_id}/v{number}" for version_id, job_id, number in op.get_bind().execute(page)}


def _listed(artifact: Mapping[Any, Any], version_path: str) -> dict[str, Any]:
    fields = {name: artifact[name] for name in ("name", "bytes", "sha256", "media_type")}
    return fields | {"links": {"self": f"{version_path}/artifacts/{quote(fields['name'])}"}}


def _replace_indexes(
    old: Mapping[str, tuple[str, list[str], str]], new: Mapping[str, tuple[str, list[str], str]]
) -> None:
    for name, (table, columns, rows) in new.items():
        where = sa.text(rows) if rows else None
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    for name, (table, _columns, _rows) in old.items():
        op.drop_index(name, table_name=table)
