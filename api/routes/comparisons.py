"""Two versions of a project on its frozen test set: figures, and image by image."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, OfProject, Wait
from api.http.downloads import MAY_CHANGE, file_name, inline
from api.http.long_poll import read_when_settled
from api.http.made_on_read import queues_nothing
from api.http.ranges import is_known
from api.images.paired import PLOT_VERSION, paired_file, predictions_bytes, predictions_task
from api.images.selection import cursor_of_number, number_of_cursor
from api.images.thumbnails import Thumbnails
from api.routes.models import MISSING
from api.schemas import PageOf
from api.schemas.comparisons import ComparedImage, Comparison, Outcome, compared_image, comparison_of
from api.schemas.evaluations import Split
from core.domain import errors
from core.services.context import Platform
from core.services.jobs.images import refuse_without_index
from core.services.models.comparisons import VersionComparison, compare_versions
from core.services.views import prepared_set_of
from http_common.openapi import problem_responses
from pipeline.evaluation.read_paired import read_outcome, read_summary
from pipeline.index.read import read_named

router = APIRouter(tags=["evaluations"])

_WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": Comparison, "description": "An evaluation is being made: `operations`. Ask again after those."}
}
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A PNG.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has the current version (If-None-Match)."},
}
_VERSIONS = (
    *MISSING,
    errors.AliasNotFound,
    errors.AliasElsewhere,
    errors.NoTestSet,
    errors.JobNotReady,
    errors.EvaluationKindMismatch,
)
_IMAGES = (*_VERSIONS, errors.EvaluationNotFound, errors.ArtifactNotFound, errors.OutOfSpace)
MAX_PAIRS = 24
OtherDataset = Annotated[
    str | None,
    Query(alias="job_id", max_length=80, description="Another dataset: its `job_id`, `raccoons/d2` or `d2`."),
]
Count = Annotated[int, Query(ge=1, le=MAX_PAIRS, description="Number of images, each with both answers.")]
Version = Annotated[str, Query(max_length=160, description="`v1`, `@production`, or another name of a model.")]


@router.get(
    "/projects/{project}/compare",
    summary="Compare two versions on the frozen test set",
    responses=_WAITS | problem_responses(*_VERSIONS, errors.OutOfSpace),
)
async def compare(
    request: Request,
    response: Response,
    platform: CurrentPlatform,
    project: OfProject,
    a: Version,
    b: Version,
    dataset: OtherDataset = None,
    split: Split = "test",
    wait: Wait = 0,
) -> Comparison:
    """Figures side by side; per class the change with its paired bootstrap interval, and how many images are won and
    lost; what differs in data, params and libraries. An evaluation that is missing is queued: then the answer is 202
    with its operation. What a browser prefetches queues nothing. Comparing two large evaluations image by image takes
    some seconds the first time."""
    read = _reading(request, platform, project, first=a, second=b, dataset=dataset, split=split)
    found = await read_when_settled(request, platform.db, read, _waits_for, seconds=wait)
    if None in (found.first.evaluation, found.second.evaluation):
        response.status_code = 202
    return comparison_of(found, *await run_in_threadpool(_paired, request, platform, found))


@router.get(
    "/projects/{project}/compare/images",
    summary="List the images that a version wins or loses",
    response_model=PageOf[ComparedImage],
    responses=problem_responses(*_IMAGES, errors.CursorInvalid),
)
def compared_images(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    a: Version,
    b: Version,
    outcome: Outcome,
    dataset: OtherDataset = None,
    split: Split = "test",
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> PageOf[ComparedImage]:
    """`won`: images that `b` answers better than `a`, those with the largest difference first, with both answers."""
    after = number_of_cursor(cursor)
    found = _reading(request, platform, project, first=a, second=b, dataset=dataset, split=split)()
    page = read_outcome(_file(request, platform, found), outcome, after=after, limit=limit)
    end = None if page.end is None else cursor_of_number(page.end)
    return PageOf(items=[compared_image(each, outcome) for each in page.images], next_cursor=end)


@router.get(
    "/projects/{project}/compare/plot",
    summary="Render the images that a version wins and loses",
    response_class=Response,
    responses=_PNG | problem_responses(*_IMAGES, errors.ImageIndexMissing, errors.ImageNotRendered),
)
async def compared_plot(
    request: Request,
    platform: CurrentPlatform,
    project: OfProject,
    a: Version,
    b: Version,
    n: Count = 12,
    outcome: Outcome | None = None,
    dataset: OtherDataset = None,
    split: Split = "test",
) -> Response:
    """A grid of images won, then of images lost: the answer of `a` left, that of `b` right. Boxes that are found are
    green, false ones red, and true ones that are missed blue and dashed."""
    read = _reading(request, platform, project, first=a, second=b, dataset=dataset, split=split)
    found = await run_in_threadpool(read)
    file = await run_in_threadpool(_file, request, platform, found)
    names = [each.name.replace("/", "-") for each in (found.first, found.second)]
    drawn = "-".join((file.stem, str(PLOT_VERSION), *names, outcome or "both", str(n)))
    headers = {"etag": f'"{drawn}"', "cache-control": MAY_CHANGE}
    if is_known(request.headers, headers["etag"]):
        return Response(status_code=304, headers=headers)
    job, prepared = await run_in_threadpool(prepared_set_of, platform.db, found.dataset.id)
    if prepared.index_key is None:
        await run_in_threadpool(refuse_without_index, platform, job, prepared)
    index = await run_in_threadpool(request.app.state.image_indexes.path_of, prepared)
    images, counts = await run_in_threadpool(_plotted, file, outcome, n)
    indexed = await run_in_threadpool(read_named, index, [image["path"] for _, image in images])
    task = predictions_task(found, images, indexed, **counts)
    chunks = partial(predictions_bytes, platform.store, prepared, task, indexed)
    thumbnails: Thumbnails = request.app.state.thumbnails
    content = await thumbnails.render(task, chunks, name="the plot of the comparison")
    headers["content-disposition"] = inline(file_name(*names, outcome or "", "compared.png"))
    return Response(content, headers=headers, media_type="image/png")


def _reading(request: Request, platform: Platform, project: str, **which: Any) -> Callable[[], VersionComparison]:
    return partial(compare_versions, platform, project, queues=not queues_nothing(request), **which)


def _paired(request: Request, platform: Platform, found: VersionComparison) -> tuple[dict[str, Any] | None, str]:
    try:
        return read_summary(_file(request, platform, found)), ""
    except (errors.EvaluationNotFound, errors.ArtifactNotFound) as error:
        return None, error.detail


def _file(request: Request, platform: Platform, found: VersionComparison) -> Path:
    return paired_file(platform, request.app.state.image_indexes, found)


def _plotted(file: Path, outcome: Outcome | None, n: int) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, int]]:
    """Half of them won and half lost; where there are fewer of one, more of the other."""
    summary = read_summary(file)
    counts = {name: int(summary[name]) for name in ("won", "lost")}
    room = {name: min(count, n) if outcome in (None, name) else 0 for name, count in counts.items()}
    won = min(room["won"], max(n - room["lost"], (n + 1) // 2))
    shares = {"won": won, "lost": min(room["lost"], n - won)}
    images = [
        (name, image)
        for name, share in shares.items()
        for image in (read_outcome(file, name, after=None, limit=share).images if share else [])
    ]
    return images, counts


def _waits_for(found: VersionComparison) -> str | None:
    waiting = (each.operation for each in (found.first, found.second) if each.evaluation is None)
    return next((each.id for each in waiting if each is not None and each.finished_at is None), None)
