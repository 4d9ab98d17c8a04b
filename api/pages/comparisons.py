"""Two versions of a project on the same images: which is better, where, and what differs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.http.made_on_read import queues_nothing
from api.http.page_stream import position_in
from api.images.paired import paired_file
from api.images.selection import cursor_of_number, number_of_cursor
from api.pages.comparison_view import largest_change, pair_views, verdict_of, whisker_of, word_of
from api.pages.drawn_images import BOXES_DRAWN
from api.pages.rendering import render
from api.pages.work_items import operation_item
from api.schemas.comparisons import Outcome, compared_image, comparison_of
from api.schemas.evaluations import Split
from core.db.tables import AliasRow, OperationRow, ProjectRow, VersionRow
from core.domain import errors
from core.domain.model_names import dataset_name
from core.domain.states import RUN_ACTIVE, JobState
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from core.services.models.comparisons import VersionComparison, compare_versions
from core.services.models.versions import aliases_of, list_versions
from core.services.projects.commands import get_project
from core.services.projects.test_sets import find_test_set
from core.services.views import prepared_set_of
from http_common.problems import problem_of
from pipeline.evaluation.read_paired import read_outcome, read_summary
from pipeline.index.read import read_named
from pipeline.index.schema import IndexedImage

router = APIRouter(prefix="/ui/projects", include_in_schema=False)

IMAGES = 12  # of a page of those won or lost
CLASSES = 100  # of the table
_VERSIONS = 100
_DATASETS = 50
_REFUSED = (errors.NotFound, errors.Gone, errors.EvaluationKindMismatch, errors.JobNotReady, errors.AliasElsewhere)

Name = Annotated[str, Query(max_length=160)]


@router.get("/{project}/compare")
def compare(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    a: Name = "",
    b: Name = "",
    dataset: Name = "",
    split: Split = "test",
    outcome: Outcome = "won",
    metric: Annotated[str, Query(max_length=40)] = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Where `a` and `b` are named, evaluations that are missing are queued. Raises ProjectNotFound, ProjectRenamed,
    Gone, CursorInvalid."""
    row = get_project(platform.db, project)
    versions = list_versions(platform.db, cursor=None, limit=_VERSIONS, ref=row.id, whole=False).items
    aliases = aliases_of(platform.db, row.id)
    jobs = list_jobs(platform.db, cursor=None, limit=_DATASETS, state=JobState.READY, project=row.id).items
    frozen = find_test_set(platform.db, row.id)
    first, second = _chosen(versions, aliases, a, b)
    values: dict[str, Any] = {
        "nav": "projects",
        "project": row,
        "versions": versions,
        "aliases": aliases,
        "known": {each.alias: each.number for each in aliases},
        "jobs": jobs,
        "frozen": frozen,
        "chosen": {"a": first, "b": second, "dataset": dataset, "split": split},
        "metric": metric,
        "outcome": outcome,
        "found": None,
        "problem": None,
        "position": "",
        "topics": [],
    }
    if not (first and second) or not (frozen or dataset):
        return render(request, "compare/compare.html", **values)
    try:
        named = bool(a and b) and not queues_nothing(request)
        compared = compare_versions(
            platform, row.slug, first=first, second=second, dataset=dataset or None, split=split, queues=named
        )
    except _REFUSED as error:
        values["problem"] = problem_of(error, path=request.url.path, request_id=request.state.request_id)
        return render(request, "compare/compare.html", int(values["problem"]["status"]), **values)
    values |= _waited(request, platform, row, compared)
    values |= _found(request, platform, compared, outcome=outcome, cursor=cursor, metric=metric)
    return render(request, "compare/compare.html", **values)


def _chosen(versions: list[VersionRow], aliases: list[AliasRow], a: str, b: str) -> tuple[str, str]:
    """What is named; else the newest version, and beside it `production` or the one before."""
    numbers = [row.number for row in versions]
    if len(numbers) < 2:
        return a, b
    newest = numbers[0]
    production = next((row.number for row in aliases if row.alias == "production"), newest)
    return a or f"v{production if production != newest else numbers[1]}", b or f"v{newest}"


def _waited(request: Request, platform: Platform, row: ProjectRow, found: VersionComparison) -> dict[str, Any]:
    """The evaluations that are missing: what makes them, and how far that is."""
    waits: list[tuple[str, OperationRow]] = [
        (side.name, side.operation)
        for side in (found.first, found.second)
        if side.evaluation is None and side.operation is not None
    ]
    topics = [each.id for _, each in waits if each.state in RUN_ACTIVE]
    return {
        "topics": topics,
        "position": position_in(request, platform.db, topics),
        "waits": [(name, operation_item(each, row.slug), each.problem) for name, each in waits],
    }


def _found(
    request: Request,
    platform: Platform,
    compared: VersionComparison,
    *,
    outcome: Outcome,
    cursor: str | None,
    metric: str,
) -> dict[str, Any]:
    after = number_of_cursor(cursor)
    images, next_cursor, summary, note = [], None, None, ""
    try:
        file = paired_file(platform, request.app.state.image_indexes, compared)
        summary = read_summary(file)
        page = read_outcome(file, outcome, after=after, limit=IMAGES)
        images = [compared_image(each, outcome) for each in page.images]
        next_cursor = None if page.end is None else cursor_of_number(page.end)
    except (errors.EvaluationNotFound, errors.ArtifactNotFound, errors.OutOfSpace, errors.Unavailable) as error:
        note = error.detail
    found = comparison_of(compared, summary, note)
    paired = found.paired
    rows = paired.per_class[:CLASSES] if paired else []
    metrics = [each.metric for each in paired.figures] if paired else []
    chosen = metric if metric in metrics else next(iter(metrics), "")
    of_class = [(row, next(each for each in row.figures if each.metric == chosen)) for row in rows]
    half = largest_change([*(paired.figures if paired else ()), *(figure for _, figure in of_class)])
    indexed = _indexed_images(request, platform, compared, [image.path for image in images])
    return {
        "found": found,
        "verdict": verdict_of(found),
        "metrics": metrics,
        "metric": chosen,
        "half": half,
        "figures": [(each, word_of(each), whisker_of(each, half)) for each in (paired.figures if paired else ())],
        "classes": [(row, figure, word_of(figure), whisker_of(figure, half)) for row, figure in of_class],
        "pairs": pair_views(images, indexed, compared.dataset.classes or []),
        "next_cursor": next_cursor,
        "promoted": compared.second.row,
        "datasets_of": [
            side.dataset and (side.dataset.id, dataset_name(side.dataset.project, side.dataset.revision))
            for side in (compared.first, compared.second)
        ],
    }


def _indexed_images(
    request: Request, platform: Platform, compared: VersionComparison, paths: list[str]
) -> dict[str, IndexedImage]:
    """By their paths; none where the dataset has no image index."""
    _, prepared = prepared_set_of(platform.db, compared.dataset.id)
    if prepared.index_key is None or not paths:
        return {}
    index = request.app.state.image_indexes.path_of(prepared)
    return read_named(index, paths, boxes=BOXES_DRAWN)
