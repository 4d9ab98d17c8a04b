"""Columns and finding codes by their new names; the origin of a repair or an import, and what MLflow refused, in columns"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = {
    "jobs": {"rung_at": "enqueued_at", "rings": "enqueue_count"},
    "runs": {"rung_at": "enqueued_at", "rings": "enqueue_count"},
    "alias_moves": {"came_from": "position_before", "stands_on": "position_after"},
}
CODES = {
    "archive-size-lies": "archive-size-mismatch",
    "box-whole-picture": "box-whole-image",
    "boxes-turned": "boxes-rotated",
    "duplicate-differs": "duplicate-labels-differ",
    "folders-doubled": "folders-repeated",
    "image-deep": "image-high-bit-depth",
    "image-turned": "image-exif-rotated",
    "names-case-equal": "names-differ-in-case",
    "names-guessed": "names-encoding-guessed",
    "repair-picture-left-out": "repair-image-left-out",
    "repair-picture-renamed": "repair-image-renamed",
    "repair-size-mended": "repair-size-fixed",
    "split-val-cut": "split-val-from-train",
}
MLFLOW_TABLES = ("runs", "versions")
HUB_FIELDS = {"pictures": "images"}  # of jobs.huggingface

JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("options", sa.JSON),
    sa.column("repair_of", sa.String),
    sa.column("huggingface", sa.JSON(none_as_null=True)),
    sa.column("findings", sa.JSON),
    sa.column("problem", sa.JSON),
)
FINDINGS = sa.table("findings", sa.column("code", sa.String))
EVENTS = sa.table(
    "events", sa.column("subject_id", sa.String), sa.column("seq", sa.Integer), sa.column("data", sa.JSON)
)


def upgrade() -> None:
    for table, names in COLUMNS.items():
        _rename_columns(table, names)
    # Not by a batch: it would copy the table, and SQLite would drop it under the rows that refer to it.
    op.execute("ALTER TABLE jobs ADD COLUMN repair_of VARCHAR(40) CONSTRAINT fk_jobs_repair_of REFERENCES jobs (id)")
    op.add_column("jobs", sa.Column("huggingface", sa.JSON(), nullable=True))
    op.create_index("ix_jobs_repair_of", "jobs", ["repair_of"])
    for table in MLFLOW_TABLES:
        op.add_column(table, sa.Column("mlflow_refused", sa.Text(), nullable=True))
    _origins_from_options()
    _rename_codes(CODES)


def downgrade() -> None:
    _rename_codes(_reversed(CODES))
    _origins_into_options()
    for table in MLFLOW_TABLES:
        op.drop_column(table, "mlflow_refused")
    op.drop_index("ix_jobs_repair_of", table_name="jobs")
    op.drop_column("jobs", "huggingface")
    op.drop_column("jobs", "repair_of")
    for table, names in COLUMNS.items():
        _rename_columns(table, _reversed(names))


def _rename_columns(table: str, names: Mapping[str, str]) -> None:
    for old, new in names.items():
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _origins_from_options() -> None:
    for job_id, options in op.get_bind().execute(sa.select(JOBS.c.id, JOBS.c.options)).all():
        repair_of, hub_set = options.pop("repair_of", None), options.pop("huggingface", None)
        if repair_of is None and hub_set is None:
            continue
        values = {"options": options, "repair_of": repair_of, "huggingface": _renamed(hub_set, HUB_FIELDS)}
        op.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(values))


def _origins_into_options() -> None:
    moved = sa.or_(JOBS.c.repair_of.is_not(None), JOBS.c.huggingface.is_not(None))
    columns = sa.select(JOBS.c.id, JOBS.c.options, JOBS.c.repair_of, JOBS.c.huggingface)
    for job_id, options, repair_of, hub_set in op.get_bind().execute(columns.where(moved)).all():
        origins = {"repair_of": repair_of, "huggingface": _renamed(hub_set, _reversed(HUB_FIELDS))}
        options |= {name: value for name, value in origins.items() if value is not None}
        op.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(options=options))


def _rename_codes(codes: Mapping[str, str]) -> None:
    """In findings, and where a job, its problem or its events count them."""
    bind = op.get_bind()
    for old, new in codes.items():
        op.execute(sa.update(FINDINGS).where(FINDINGS.c.code == old).values(code=new))
    for column in (JOBS.c.findings, JOBS.c.problem):
        for job_id, value in bind.execute(sa.select(JOBS.c.id, column).where(_names(column, codes))).all():
            op.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values({column.name: _with_codes(value, codes)}))
    for subject_id, seq, data in bind.execute(sa.select(EVENTS).where(_names(EVENTS.c.data, codes))).all():
        counted = {name: _with_codes(data[name], codes) for name in ("findings", "problem") if name in data}
        this = (EVENTS.c.subject_id == subject_id, EVENTS.c.seq == seq)
        op.execute(sa.update(EVENTS).where(*this).values(data=data | counted))


def _names(column: sa.ColumnClause[Any], codes: Mapping[str, str]) -> sa.ColumnElement[bool]:
    text = sa.cast(column, sa.Text)
    return sa.or_(*(text.contains(f'"{code}"') for code in codes))


def _with_codes(value: Any, codes: Mapping[str, str]) -> Any:
    """Counts by code are sorted by code."""
    if not isinstance(value, dict):
        return value
    renamed = {codes.get(name, name): _with_codes(inner, codes) for name, inner in value.items()}
    return dict(sorted(renamed.items())) if renamed.keys() != value.keys() else renamed


def _renamed(fields: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any] | None:
    return None if fields is None else {names.get(name, name): value for name, value in fields.items()}


def _reversed(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}
