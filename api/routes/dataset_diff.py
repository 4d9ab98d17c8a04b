"""What changed from one dataset to another: as JSON, as CSV, and as images side by side."""

from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit
from api.http.downloads import MAY_CHANGE, NEVER_CHANGES, file_name, inline
from api.http.ranges import is_known
from api.images.comparison import COMPARISON_VERSION, comparison_bytes, comparison_task
from api.images.selection import cursor_of_number, number_of_cursor
from api.images.thumbnails import Thumbnails
from api.schemas.dataset_diff import DatasetDiff, compared_dataset, image_diff, listed_summary
from api.schemas.links import link
from api.web.diff_csv import diff_csv
from core.db.tables import DatasetRow, JobRow
from core.domain import errors
from core.domain.model_names import dataset_name
from core.services.context import Platform
from core.services.jobs.images import refuse_without_index
from core.services.views import prepared_set_of
from core.storage.attachment import attachment
from http_common.openapi import problem_responses
from pipeline.index.diff_summary import ImageChange
from pipeline.index.read_diff import ComparedDatasets, count_changed, read_diff, read_most_changed, read_summary

router = APIRouter(prefix="/dataset/diff", tags=["datasets"])

MAX_PAIRS = 24
_MISSING = (
    *(errors.JobNotFound, errors.Gone, errors.JobNotReady, errors.ImageIndexMissing, errors.DatasetKindMismatch),
    errors.OutOfSpace,
)
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "RFC 4180, UTF-8.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A PNG.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has the current version (If-None-Match)."},
}

Change = Annotated[ImageChange | None, Query(description="Only images with this change.")]
Count = Annotated[int, Query(ge=1, le=MAX_PAIRS, description="Number of images, each before and after.")]


class Diff(NamedTuple):
    jobs: tuple[JobRow, JobRow]
    sets: tuple[DatasetRow, DatasetRow]
    compared: ComparedDatasets

    @property
    def etag(self) -> str:
        return self.compared.file.stem

    @property
    def names(self) -> str:
        """For the name of a file."""
        before, after = (dataset_name(job.project, job.revision) for job in self.jobs)
        return f"{before} to {after}".replace("/", "-")


@router.get(
    "/{before}/{after}",
    summary="Compare two datasets",
    response_model=DatasetDiff,
    responses=problem_responses(*_MISSING, errors.CursorInvalid),
)
def read_dataset_diff(
    request: Request,
    platform: CurrentPlatform,
    before: str,
    after: str,
    change: Change = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """What changed from the dataset of the job `before` to that of the job `after`: a summary, and by path each image
    that differs, with its boxes. Images are the same by the sha256 of their files; boxes by their edges, or by their
    class and an IoU from 0.5 on. Of any two datasets of the same kind, also of two projects.

    The first request for two large datasets takes some seconds, further ones some milliseconds.
    """
    position = number_of_cursor(cursor)
    found = diff_of(request, platform, before, after)
    page = read_diff(found.compared, change=change, after=position, limit=limit)
    path = f"/dataset/diff/{before}/{after}"
    first, second = (compared_dataset(*each) for each in zip(found.jobs, found.sets, strict=True))
    answer = DatasetDiff(
        before=first,
        after=second,
        equal=first.fingerprint == second.fingerprint,
        summary=listed_summary(read_summary(found.compared)),
        items=[image_diff(item, *found.jobs) for item in page.items],
        next_cursor=None if page.end is None else cursor_of_number(page.end),
        links={
            "csv": link(f"{path}/changes.csv", change=change),
            "plot": link(f"{path}/plot", change=change),
            "reverse": f"/dataset/diff/{after}/{before}",
        },
    )
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")  # else it is validated twice


@router.get(
    "/{before}/{after}/changes.csv",
    summary="Download the difference of two datasets as CSV",
    response_class=Response,
    responses=_CSV | problem_responses(*_MISSING),
)
def download_dataset_diff(
    request: Request, platform: CurrentPlatform, before: str, after: str, change: Change = None
) -> Response:
    """Every class, image, box, label and split that differs, one a line. Text that a spreadsheet would compute as a
    formula has a `'` in front."""
    found = diff_of(request, platform, before, after)
    headers = {
        "content-disposition": attachment(file_name(found.names, change or "", "changes.csv")),
        "cache-control": NEVER_CHANGES,
    }
    return StreamingResponse(diff_csv(found.compared, change=change), headers=headers, media_type="text/csv")


@router.get(
    "/{before}/{after}/plot",
    summary="Render the images that differ, before and after",
    response_class=Response,
    responses=_PNG | problem_responses(*_MISSING, errors.ImageNotRendered),
)
async def plot_dataset_diff(
    request: Request, platform: CurrentPlatform, before: str, after: str, n: Count = 12, change: Change = None
) -> Response:
    """A grid of the images that differ, those with the most changed annotations first, each before and after: added
    boxes are green, removed ones red and dashed, changed ones blue, others grey."""
    found = await run_in_threadpool(diff_of, request, platform, before, after)
    drawn = f"{found.etag}-{COMPARISON_VERSION}-{found.names.replace(' ', '-')}-{change or 'all'}-{n}"
    headers = {"etag": f'"{drawn}"', "cache-control": MAY_CHANGE}  # the names of projects are drawn
    if is_known(request.headers, headers["etag"]):
        return Response(status_code=304, headers=headers)
    items = (await run_in_threadpool(read_most_changed, found.compared, change=change, limit=n)).items
    differing = await run_in_threadpool(count_changed, found.compared, change=change)
    task = comparison_task(items, found.jobs, differing=differing, change=change)
    chunks = partial(comparison_bytes, platform.store, items, found.sets)
    thumbnails: Thumbnails = request.app.state.thumbnails
    content = await thumbnails.render(task, chunks, name="the plot of the difference")
    headers["content-disposition"] = inline(file_name(found.names, change or "", "diff.png"))
    return Response(content, headers=headers, media_type="image/png")


def diff_of(request: Request, platform: Platform, before: str, after: str) -> Diff:
    """Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing, DatasetKindMismatch, OutOfSpace, Unavailable."""
    (job, dataset), (other, other_set) = (prepared_set_of(platform.db, job_id) for job_id in (before, after))
    if job.kind != other.kind:
        kinds = {"before": {"job_id": job.id, "kind": job.kind}, "after": {"job_id": other.id, "kind": other.kind}}
        detail = f"A dataset for {job.kind} and one for {other.kind} have no annotations to compare."
        raise errors.DatasetKindMismatch(detail, **kinds)
    for each, its_set in ((job, dataset), (other, other_set)):
        if its_set.index_key is None:
            refuse_without_index(platform, each, its_set)
    compared = request.app.state.image_indexes.compare(job, other, (dataset, other_set))
    return Diff((job, other), (dataset, other_set), compared)
