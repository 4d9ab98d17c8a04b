"""Indexes in the order of the lists"""

from collections.abc import Mapping

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Each ends in the column that its list is ordered by: a page is read from the index, without a sort.
INDEXES: Mapping[str, tuple[str, list[str]]] = {
    "ix_jobs_state_id": ("jobs", ["state", "id"]),
    "ix_runs_state_id": ("runs", ["state", "id"]),
    "ix_runs_job_id_id": ("runs", ["job_id", "id"]),
    "ix_versions_job_id_id": ("versions", ["job_id", "id"]),
    "ix_findings_job_id_code_number": ("findings", ["job_id", "code", "number"]),
    "ix_findings_job_id_severity_number": ("findings", ["job_id", "severity", "number"]),
}
REPLACED: Mapping[str, tuple[str, list[str]]] = {
    "ix_jobs_state": ("jobs", ["state"]),
    "ix_runs_state": ("runs", ["state"]),
    "ix_runs_job_id": ("runs", ["job_id"]),
    "ix_findings_job_id_code": ("findings", ["job_id", "code"]),
}


def upgrade() -> None:
    _replace_indexes(REPLACED, INDEXES)


def downgrade() -> None:
    _replace_indexes(INDEXES, REPLACED)


def _replace_indexes(old: Mapping[str, tuple[str, list[str]]], new: Mapping[str, tuple[str, list[str]]]) -> None:
    for name, (table, columns) in new.items():
        op.create_index(name, table, columns)
    for name, (table, _columns) in old.items():
        op.drop_index(name, table_name=table)
