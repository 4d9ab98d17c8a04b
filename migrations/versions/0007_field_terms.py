"""Name the columns of the task queue by the field's terms"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RENAMED = {"rung_at": "enqueued_at", "rings": "enqueue_count"}


def upgrade() -> None:
    for table in ("jobs", "runs"):
        for old, new in RENAMED.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")  # both databases know it


def downgrade() -> None:
    for table in ("jobs", "runs"):
        for old, new in RENAMED.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
