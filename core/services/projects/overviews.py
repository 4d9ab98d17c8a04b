"""What an answer about projects says beside their rows: counts, last activity, what production is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, literal, select, union_all

from core.db import Database
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.ids import time_of
from core.domain.model_names import PRODUCTION
from core.services.projects.main_figures import MAIN_FIGURES, metrics_of


@dataclass(frozen=True, slots=True)
class Production:
    """The version that the alias `production` points at. `metrics`: the main ones alone."""

    number: int
    trainer: str
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProjectOverview:
    """Counts leave out what was deleted. `last_activity_at`: of a dataset, a run, a version, an alias or a change."""

    project: ProjectRow
    datasets: int
    runs: int
    versions: int
    last_activity_at: datetime
    production: Production | None


def _counted(table: type[JobRow] | type[RunRow] | type[VersionRow]) -> Select[str, str, int, str]:
    """From an index alone: (name of the table, project, number of rows, newest id)."""
    mine = (table.project_id.in_(bindparam("project_ids", expanding=True)), table.deleted_at.is_(None))
    columns = (literal(table.__tablename__), table.project_id, func.count(), func.max(table.id))
    return select(*columns).where(*mine).group_by(table.project_id)


_COUNTS = union_all(_counted(JobRow), _counted(RunRow), _counted(VersionRow))
_PRODUCTION = (
    select(VersionRow.project_id, VersionRow.number, VersionRow.trainer, *MAIN_FIGURES)
    .join(AliasRow, and_(AliasRow.project_id == VersionRow.project_id, AliasRow.number == VersionRow.number))
    .where(AliasRow.project_id.in_(bindparam("project_ids", expanding=True)), AliasRow.alias == PRODUCTION)
)


def project_overviews(db: Database, projects: Sequence[ProjectRow]) -> list[ProjectOverview]:
    """In the order of `projects`; two statements for all of them."""
    wanted = {"project_ids": [row.id for row in projects]}
    with db.reading() as session:
        counts = {
            (table, project_id): (count, newest)
            for table, project_id, count, newest in session.execute(_COUNTS, wanted)
        }
        production = {
            project_id: Production(number, trainer, metrics_of(figures))
            for project_id, number, trainer, *figures in session.execute(_PRODUCTION, wanted)
        }
    return [_overview(row, counts, production.get(row.id)) for row in projects]


def new_overview(project: ProjectRow) -> ProjectOverview:
    """Of a project that was just created."""
    return _overview(project, {}, None)


def _overview(
    project: ProjectRow, counts: dict[tuple[str, str], tuple[int, str]], production: Production | None
) -> ProjectOverview:
    found = [counts.get((table.__tablename__, project.id), (0, "")) for table in (JobRow, RunRow, VersionRow)]
    datasets, runs, versions = (count for count, _ in found)
    newest = max((some_id.rpartition("_")[2] for _, some_id in found))  # ids sort by time
    times = [project.updated_at, project.active_at, time_of(newest) if newest else None]
    last_activity_at = max(at for at in times if at is not None)
    return ProjectOverview(project, datasets, runs, versions, last_activity_at, production)
