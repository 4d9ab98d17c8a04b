"""Sessions of browsers, and the rows that changed last"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
INDEXES: Mapping[str, tuple[str, str]] = {
    "ix_jobs_updated_at": ("jobs", "updated_at"),
    "ix_runs_updated_at": ("runs", "updated_at"),
    "ix_operations_updated_at": ("operations", "updated_at"),
    "ix_projects_updated_at": ("projects", "updated_at"),
    "ix_projects_active_at": ("projects", "active_at"),
}


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("label", sa.String(80), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("secret_sha256", name="uq_sessions_secret_sha256"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    for name, (table, column) in INDEXES.items():
        op.create_index(name, table, [column])


def downgrade() -> None:
    """Browsers give the token again after the next upgrade."""
    for name, (table, _column) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_table("sessions")
