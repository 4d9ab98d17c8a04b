"""A project: its datasets with what changed, its versions, runs, test set, lineage, storage and settings."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.http.page_stream import HOME, position_in
from api.pages.rendering import render
from api.pages.upload_form import upload_form
from api.pages.work_items import is_freezing, work_items
from api.schemas.evaluation_matrix import EvaluationMatrix, matrix_of
from api.schemas.lineage import Lineage, lineage_of
from api.schemas.projects import project_of
from api.schemas.storage import storage_of
from api.web.lineage_layout import TOP
from api.web.lineage_svg import lineage_svg
from core.db import Database
from core.db.tables import JobRow
from core.domain import errors
from core.domain.main_metrics import main_metrics
from core.domain.states import JobState
from core.services.jobs import commands as jobs
from core.services.models import versions
from core.services.models.evaluation_matrix import evaluation_matrix
from core.services.models.evaluations import DEFAULT_SPLIT
from core.services.models.test_sets import FrozenSet, get_test_set, list_test_sets
from core.services.projects import commands as projects
from core.services.projects.lineage import lineage_rows
from core.services.projects.overviews import project_overviews
from core.services.runs import commands as runs
from core.services.storage.usage import project_usage
from core.services.work.active import active_work

router = APIRouter(prefix="/ui/projects", include_in_schema=False)

DATASETS_PAGE = 20
VERSIONS_LISTED, RUNS_LISTED, GENERATIONS_LISTED = 10, 8, 20
MATRIX_VERSIONS = 12
LINEAGE_ROWS = 60
WORK_LISTED = 20

_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_LINKS = (
    (re.compile(r'href="/jobs/([^"/?]+)"'), r'href="/ui/datasets/\1"'),
    (re.compile(r'href="/runs/([^"/?]+)"'), r'href="/ui/runs/\1"'),
)
_OTHER_LINK = re.compile(r'href="/(?!ui/)[^"]*"')
_FRAME = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)" width="[\d.]+" height="[\d.]+"')
_HEADING = TOP - 44  # px: the name of the project and its counts, which the page has already
_VERSION = re.compile(r'href="/models/[^"/]+/v(\d+)"')


@dataclass(frozen=True, slots=True)
class Revision:
    """A dataset, and how it differs from `before`: the one that it extends or repairs, else the ready one before it.

    `made_of`: the one that it extends or repairs, where it is on the same page."""

    job: JobRow
    made_of: JobRow | None
    before: JobRow | None
    images_more: int
    classes_new: Sequence[str]
    classes_gone: Sequence[str]


@router.get("/{project}")
def project_page(
    request: Request, platform: CurrentPlatform, project: OfProject, cursor: Cursor = None
) -> HTMLResponse:
    """`cursor`: of its datasets. Raises ProjectNotFound, ProjectRenamed, Gone, CursorInvalid."""
    db = platform.db
    position = position_in(request, db, [HOME])
    row = projects.get_project(db, project)
    page = jobs.list_jobs(db, cursor=cursor, limit=DATASETS_PAGE, project=row.id)
    newest = versions.list_versions(db, cursor=None, limit=VERSIONS_LISTED, ref=row.id, whole=False).items
    matrix = _matrix(db, row.id) if newest else None
    active = active_work(db, limit=WORK_LISTED, project_id=row.id)
    lineage = lineage_of(lineage_rows(db, row.id, limit=LINEAGE_ROWS), all_runs=False, limit=LINEAGE_ROWS, first=None)
    return render(
        request,
        "projects/project.html",
        nav="projects",
        position=position,
        project=project_of(project_overviews(db, [row])[0], mlflow_link=platform.settings.mlflow_link),
        revisions=revisions_of(page.items),
        newest_ready=next((job for job in page.items if job.state == JobState.READY), None),
        next_cursor=page.next_cursor,
        versions=[(each, *main_metrics(each.metrics)) for each in versions.version_briefs(db, newest)],
        aliases=versions.aliases_of(db, row.id),
        runs=runs.list_runs(db, cursor=None, limit=RUNS_LISTED, project=row.id).items,
        moving=work_items(db, active),
        freezing=is_freezing(active),
        matrix=matrix,
        matrix_best=_best(matrix) if matrix else [],
        frozen=_frozen(db, row.id),
        generations=list_test_sets(db, row.id, cursor=None, limit=GENERATIONS_LISTED).items,
        lineage=drawn_lineage(lineage) if lineage.nodes else "",
        lineage_truncated=lineage.truncated,
        upload=upload_form(platform, project=row.slug),
    )


@router.get("/{project}/storage")
def storage(request: Request, platform: CurrentPlatform, project: OfProject) -> HTMLResponse:
    """A part of the page that takes longer. Raises ProjectNotFound, ProjectRenamed, Gone."""
    usage = project_usage(platform.db, project)
    found = storage_of(usage, platform.settings)
    return render(request, "projects/storage.html", project=usage.project.slug, storage=found)


def revisions_of(newest_first: Sequence[JobRow]) -> list[Revision]:
    """Of a page of datasets; the oldest of a page has nothing to be compared with, unless it names it."""
    by_id = {job.id: job for job in newest_first}
    ready = [job for job in newest_first if job.state == JobState.READY]
    older = {job.id: previous for job, previous in pairwise(ready)}
    return [
        _revision(job, by_id.get(job.parent_job_id or job.repair_of or ""), older.get(job.id)) for job in newest_first
    ]


def _revision(job: JobRow, made_of: JobRow | None, older: JobRow | None) -> Revision:
    before = made_of if made_of is not None and made_of.state == JobState.READY else older
    if before is None or job.state != JobState.READY:
        return Revision(job, made_of, None, 0, (), ())
    images_more = (job.images or 0) - (before.images or 0)
    classes_new, classes_gone = _missing(job, in_=before), _missing(before, in_=job)
    return Revision(job, made_of, before, images_more, classes_new, classes_gone)


def _missing(job: JobRow, *, in_: JobRow) -> list[str]:
    """The classes of `job` that the other one lacks."""
    known = frozenset(in_.classes or ())
    return [name for name in job.classes or () if name not in known]


def drawn_lineage(lineage: Lineage) -> Markup:
    """The drawing of the API inside the page: in its colours, with links to pages."""
    return _drawn(lineage.model_dump_json())


@lru_cache(maxsize=16)  # some hundred kilobytes each
def _drawn(text: str) -> Markup:
    """By the JSON of the lineage: a page that follows its project is read again and again with the same one."""
    lineage = Lineage.model_validate_json(text)
    svg = lineage_svg(lineage).decode()
    svg = _STYLE.sub("", svg[svg.index("<svg") :])
    for pattern, page in _LINKS:
        svg = pattern.sub(page, svg)
    svg = _VERSION.sub(rf'href="/ui/projects/{lineage.project}/versions/\1"', svg)
    svg = _OTHER_LINK.sub(f'href="/ui/projects/{lineage.project}/models"', svg)
    svg = _FRAME.sub(_without_heading, svg, count=1)
    svg = svg.replace('role="img"', 'role="group"', 1)  # an image has no links in it
    return Markup(svg)  # noqa: S704 - written by ElementTree, which escapes; the name of a project is a slug


def _without_heading(frame: re.Match[str]) -> str:
    width, height = float(frame[1]), float(frame[2]) - _HEADING
    return f'viewBox="0 {_HEADING} {width:g} {height:g}" width="{width:g}" height="{height:g}"'


def _matrix(db: Database, project_id: str) -> EvaluationMatrix:
    found = evaluation_matrix(db, project_id, split=DEFAULT_SPLIT, limit=MATRIX_VERSIONS)
    return matrix_of(found, cursor=None, limit=MATRIX_VERSIONS)


def _best(matrix: EvaluationMatrix) -> list[float | None]:
    """The highest value of each dataset; None where there are not two to compare."""
    columns = [
        [value for row in matrix.rows if (value := row.cells[place].value) is not None]
        for place in range(len(matrix.datasets))
    ]
    return [max(values) if len(values) > 1 else None for values in columns]


def _frozen(db: Database, project_id: str) -> FrozenSet | None:
    with suppress(errors.TestSetNotFound):
        return get_test_set(db, project_id)
    return None
