"""Keep a log for each attempt, its end while it runs; count what the store refuses"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

RUNS = sa.table("runs", sa.column("id"), sa.column("log_key"), sa.column("updated_at"))


def upgrade() -> None:
    for table in ("jobs", "runs"):
        op.add_column(table, sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))
    logs = op.create_table(
        "run_logs",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("tail", sa.LargeBinary(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_logs_run_id")),
        sa.PrimaryKeyConstraint("run_id", "attempt", name=op.f("pk_run_logs")),
        sa.UniqueConstraint("key", name=op.f("uq_run_logs_key")),
    )
    kept = sa.select(RUNS.c.id, RUNS.c.log_key, sa.type_coerce(RUNS.c.updated_at, sa.DateTime(timezone=True)))
    for run_id, key, at in op.get_bind().execute(kept.where(RUNS.c.log_key.is_not(None))).all():
        attempt = int(key.split("/")[2])  # runs/{run_id}/{attempt}/train.log
        row = {"run_id": run_id, "attempt": attempt, "key": key, "tail": b"", "total_bytes": 0, "updated_at": at}
        op.execute(sa.insert(logs).values(**row))


def downgrade() -> None:
    op.drop_table("run_logs")
    for table in ("runs", "jobs"):
        op.drop_column(table, "refusals")
