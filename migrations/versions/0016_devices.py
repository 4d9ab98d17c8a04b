"""Workers report what they compute on"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("devices", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Workers of the schema before report nothing of it, and these report it again when they start."""
    op.drop_column("workers", "devices")
