"""Evaluations with the names of what they are about, for answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from core.db import Database
from core.db.tables import EvaluationRow, ExportRow, JobRow, VersionRow


class EvaluationOverview(NamedTuple):
    """An evaluation with the names of what it is about, as they are now. `project` is that of the version."""

    row: EvaluationRow
    project: str
    number: int
    version_job_id: str | None  # of the version; None for an imported one
    dataset_project: str
    revision: int
    export: str | None  # `onnx int8`


def evaluation_overviews(db: Database, rows: Sequence[EvaluationRow]) -> list[EvaluationOverview]:
    """In the order of `rows`, in one statement."""
    about = (
        select(
            *(EvaluationRow.id, VersionRow.project, VersionRow.number, VersionRow.job_id),
            *(JobRow.project, JobRow.revision, ExportRow.format, ExportRow.precision),
        )
        .join(VersionRow, VersionRow.id == EvaluationRow.version_id)
        .join(JobRow, JobRow.id == EvaluationRow.job_id)
        .outerjoin(ExportRow, ExportRow.id == EvaluationRow.export_id)
        .where(EvaluationRow.id.in_([row.id for row in rows]))
    )
    with db.reading() as session:
        found = {row_id: parts for row_id, *parts in session.execute(about)}
    return [_overview(row, found[row.id]) for row in rows]


def _overview(row: EvaluationRow, parts: Sequence[Any]) -> EvaluationOverview:
    project, number, version_job_id, dataset_project, revision, made, precision = parts
    export = f"{made} {precision}" if made else None
    return EvaluationOverview(row, project, number, version_job_id, dataset_project, revision, export)
