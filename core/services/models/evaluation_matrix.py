"""The versions of a project x datasets, with one figure in each cell: rows for a table, a CSV file or a drawing.

A cell is the newest evaluation of a version, or of one of its exports, on the images of a dataset, by their
fingerprint. Where there is none, it is what the training of the version measured on its own dataset. The number of
statements does not depend on the number of rows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session, defer

from core.db import Database
from core.db.tables import AliasRow, EvaluationRow, ExportRow, JobRow, ProjectRow, VersionRow
from core.domain.errors import RequestInvalid
from core.domain.evaluation_figures import METRICS_OF_KIND, Figure, figure_of_evaluation, figure_of_training
from core.domain.field_errors import not_valid
from core.domain.model_names import dataset_name, version_name
from core.domain.states import JobState
from core.services.paging import page_of
from core.services.projects.lookup import project_in

MAX_VERSIONS, MAX_DATASETS = 100, 20  # of a page: a drawing of them is 2,800 pixels wide and 5,000 high
MAX_CELLS = 5000  # evaluations of a page, the newest ones: with exports there are more than versions x datasets
MAX_ALIASES = 100
_REMOVED = 0  # the number of a removed alias


class MatrixDataset(NamedTuple):
    """`name`: `raccoons/d2`; `title`: that of its upload."""

    job_id: str
    name: str
    title: str
    images: int | None
    fingerprint: str
    is_outside: bool  # of another project


class MatrixCell(NamedTuple):
    """Without an `evaluation_id`, the figure was measured by the training of the version."""

    figure: Figure | None  # None: the evaluation has no such figure
    evaluation_id: str | None


class MatrixRow(NamedTuple):
    """`cells`: by the fingerprint of the dataset. `export`: `onnx int8`, where it is not the version itself."""

    version_id: str
    name: str
    number: int
    path: str  # of the version
    trained_on: str | None  # the fingerprint
    created_at: datetime
    aliases: Sequence[str]
    export_id: str | None
    export: str | None
    cells: Mapping[str, MatrixCell]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows newest version first, each followed by its exports that were evaluated; datasets oldest first.

    `datasets_left_out`: there are older ones than the newest MAX_DATASETS. `evaluations_left_out`: there are older ones
    of these versions than the newest MAX_CELLS, so a cell can be empty that was measured.
    """

    slug: str
    kind: str | None
    split: str
    metric: str
    datasets: Sequence[MatrixDataset]
    rows: Sequence[MatrixRow]
    datasets_left_out: bool
    evaluations_left_out: bool
    next_cursor: str | None


class _Version(NamedTuple):
    row: VersionRow
    measured_on: str | None  # the fingerprint of the dataset of its own metrics
    figure: Figure | None


class _Evaluated(NamedTuple):
    version_id: str
    job_id: str
    fingerprint: str
    export_id: str | None
    export: str | None
    cell: MatrixCell


def evaluation_matrix(
    db: Database,
    ref: str,
    *,
    split: str,
    metric: str | None = None,
    cursor: str | None = None,
    limit: int = MAX_VERSIONS,
) -> Matrix:
    """`ref`: a project's slug or id. `metric`: by default the main one of its kind. `limit`: number of versions.

    Raises ProjectNotFound, ProjectRenamed, Gone, CursorInvalid, RequestInvalid for a metric of another kind.
    """
    with db.reading() as session:
        project = project_in(session, ref)
        metric = _metric_of(project, metric)
        page = page_of(session, _living(project), VersionRow.id, cursor=cursor, limit=limit, newest_first=True)
        versions = _with_figures(session, page.items, split, metric)
        found = _evaluated(session, project, [each.row.id for each in versions], split, metric)
        evaluated = found[:MAX_CELLS]
        datasets = _datasets(session, project, {each.job_id for each in evaluated})
        aliases = _aliases(session, project)
    of_version: dict[str, list[_Evaluated]] = {each.row.id: [] for each in versions}
    for one in evaluated:
        of_version[one.version_id].append(one)
    return Matrix(
        slug=project.slug,
        kind=project.kind,
        split=split,
        metric=metric,
        datasets=datasets[:MAX_DATASETS][::-1],
        rows=[row for each in versions for row in _rows_of(project, each, of_version[each.row.id], aliases)],
        datasets_left_out=len(datasets) > MAX_DATASETS,
        evaluations_left_out=len(found) > MAX_CELLS,
        next_cursor=page.next_cursor,
    )


def _metric_of(project: ProjectRow, metric: str | None) -> str:
    known = METRICS_OF_KIND[project.kind or "detection"]
    if metric is not None and metric not in known:
        errors = [{"field": "metric", "message": f"of a {project.kind} project it is one of {', '.join(known)}"}]
        raise RequestInvalid(not_valid(errors), errors=errors)
    return metric or known[0]


def _living(project: ProjectRow) -> Select[VersionRow]:
    mine = (VersionRow.project_id == project.id, VersionRow.deleted_at.is_(None))
    large = (VersionRow.params, VersionRow.metrics, VersionRow.artifacts)
    return select(VersionRow).where(*mine).options(*map(defer, large))


def _with_figures(session: Session, rows: Sequence[VersionRow], split: str, metric: str) -> list[_Version]:
    parts = session.execute(_figures_of_versions(split, metric), {"ids": [row.id for row in rows]})
    found = {row_id: (value, images, on) for row_id, value, images, on in parts}
    versions = []
    for row in rows:
        value, images, measured_on = found[row.id]
        versions.append(_Version(row, measured_on, figure_of_training(value, images, metric=metric)))
    return versions


@lru_cache(maxsize=32)
def _figures_of_versions(split: str, metric: str) -> Any:
    """With the parameter `ids`. Kept, as `_evaluations_of` is: a statement with so many paths takes as long to make as
    to run."""
    return select(
        VersionRow.id,
        VersionRow.metrics[(split, metric)].as_string(),
        VersionRow.metrics[(split, "images")].as_string(),
        func.coalesce(VersionRow.fingerprint, VersionRow.params[("dataset", "fingerprint")].as_string()),
    ).where(VersionRow.id.in_(bindparam("ids", expanding=True)))


def _evaluated(
    session: Session, project: ProjectRow, version_ids: Sequence[str], split: str, metric: str
) -> list[_Evaluated]:
    """Newest first; one more than MAX_CELLS where there are more."""
    wanted = {"project_id": project.id, "ids": version_ids, "split": split}
    return [_one_evaluated(*row) for row in session.execute(_evaluations_of(metric), wanted)]


@lru_cache(maxsize=16)
def _evaluations_of(metric: str) -> Any:
    """With the parameters `project_id`, `ids` of versions and `split`."""
    metrics = EvaluationRow.metrics
    return (
        select(
            EvaluationRow.version_id,
            EvaluationRow.job_id,
            EvaluationRow.fingerprint,
            EvaluationRow.export_id,
            ExportRow.format,
            ExportRow.precision,
            EvaluationRow.id,
            metrics[metric].as_string(),
            metrics["images"].as_string(),
            *(metrics[("intervals", metric, bound)].as_string() for bound in (0, 1)),
            metrics[("seen", "known")].as_boolean(),
            metrics[("seen", "images")].as_string(),
            metrics[("unseen", metric)].as_string(),
            metrics[("classes", "counts", "missing")].as_integer(),
        )
        .outerjoin(ExportRow, ExportRow.id == EvaluationRow.export_id)
        .where(
            EvaluationRow.project_id == bindparam("project_id"),
            EvaluationRow.deleted_at.is_(None),
            ExportRow.deleted_at.is_(None),
            EvaluationRow.split == bindparam("split"),
            EvaluationRow.version_id.in_(bindparam("ids", expanding=True)),
        )
        .order_by(EvaluationRow.id.desc())
        .limit(MAX_CELLS + 1)
    )


def _one_evaluated(
    version_id: str,
    job_id: str,
    fingerprint: str,
    export_id: str | None,
    made: str | None,
    precision: str | None,
    row_id: str,
    *measured: Any,
) -> _Evaluated:
    value, images, low, high, known, seen, unseen, missing = measured
    beside = {"seen_known": known, "seen_images": seen, "unseen": unseen, "missing_classes": missing}
    figure = figure_of_evaluation(value, images, low=low, high=high, **beside)
    export = f"{made} {precision}" if export_id else None
    return _Evaluated(version_id, job_id, fingerprint, export_id, export, MatrixCell(figure, row_id))


def _datasets(session: Session, project: ProjectRow, evaluated: Collection[str]) -> list[MatrixDataset]:
    """Newest first, up to one more than MAX_DATASETS: those of the project, and others that it was evaluated on."""
    columns = (JobRow.id, JobRow.project_id, JobRow.project, JobRow.revision, JobRow.name, JobRow.images)
    living = select(*columns, JobRow.fingerprint).where(
        JobRow.deleted_at.is_(None), JobRow.state == str(JobState.READY), JobRow.fingerprint.is_not(None)
    )
    own = living.where(JobRow.project_id == project.id).order_by(JobRow.id.desc()).limit(MAX_DATASETS + 1)
    others = living.where(JobRow.id.in_(sorted(evaluated)[-MAX_DATASETS - 1 :]), JobRow.project_id != project.id)
    found = [*session.execute(own), *session.execute(others)]
    return [
        MatrixDataset(job_id, dataset_name(slug, revision), title, images, fingerprint, owner != project.id)
        for job_id, owner, slug, revision, title, images, fingerprint in sorted(found, key=itemgetter(0), reverse=True)
    ][: MAX_DATASETS + 1]


def _aliases(session: Session, project: ProjectRow) -> Mapping[int, list[str]]:
    """By the number of their version."""
    mine = (AliasRow.project_id == project.id, AliasRow.number != _REMOVED)
    found: dict[int, list[str]] = {}
    for alias, number in session.execute(
        select(AliasRow.alias, AliasRow.number).where(*mine).order_by(AliasRow.alias).limit(MAX_ALIASES)
    ):
        found.setdefault(number, []).append(alias)
    return found


def _rows_of(
    project: ProjectRow, version: _Version, mine: Sequence[_Evaluated], aliases: Mapping[int, list[str]]
) -> Iterator[MatrixRow]:
    """That of the version, and one for each of its exports that was evaluated. `mine`: newest first."""
    row = version.row
    exports = {each.export_id: each.export for each in reversed(mine)}
    for export_id, export in {None: None, **exports}.items():
        cells = {each.fingerprint: each.cell for each in reversed(mine) if each.export_id == export_id}
        if export_id is None and version.measured_on and version.figure:
            cells.setdefault(version.measured_on, MatrixCell(version.figure, None))
        yield MatrixRow(
            version_id=row.id,
            name=version_name(project.slug, row.number),
            number=row.number,
            path=f"/models/{row.job_id or row.project_id}/v{row.number}",
            trained_on=row.fingerprint,
            created_at=row.created_at,
            aliases=aliases.get(row.number, []),
            export_id=export_id,
            export=export,
            cells=cells,
        )
