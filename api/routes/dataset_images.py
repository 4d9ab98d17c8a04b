"""The images of a prepared dataset: listed from its index, and each as it is or as a thumbnail."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, inline, send_stored
from api.http.ranges import is_known
from api.images.selection import cursor_of, position_of, selection_of
from api.images.thumbnails import MAX_SIZE, SIZES, Thumbnails
from api.schemas import PageOf
from api.schemas.images import BOXES_LISTED, ListedImage, listed_image
from core.db.tables import DatasetRow, JobRow
from core.domain import errors
from core.services.context import Platform
from core.services.jobs.images import codes_of_images, refuse_without_index
from core.services.views import prepared_set_of
from http_common.openapi import problem_responses
from pipeline.index.read import SORTS, find_image, read_page
from pipeline.index.schema import IndexedImage

router = APIRouter(prefix="/dataset/images", tags=["datasets"])

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
}  # of the formats that a prepared set has
_OTHER = "application/octet-stream"
_MISSING = (errors.JobNotFound, errors.Gone, errors.JobNotReady, errors.ImageIndexMissing)
_IMAGES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image.",
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in (*dict.fromkeys(MEDIA_TYPES.values()), _OTHER)
        },
    },
    206: {"description": "The requested range of the original."},
    304: {"description": "The client has the current version (If-None-Match)."},
}
_ORDERS = ", ".join(f"`{name}`" for name in SORTS)

ClassName = Annotated[str | None, Query(alias="class", max_length=1000, description="Only images of this class.")]
Split = Annotated[str | None, Query(max_length=80, description="`train`, `val` or `test`.")]
FindingCode = Annotated[
    str | None, Query(max_length=80, description="Only images that the job's findings of this code are about.")
]
Sort = Annotated[
    str, Query(max_length=80, description=f"{_ORDERS} (`size`: pixels), ascending, or descending as `-blur`.")
]
Size = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_SIZE,
        description=f"A JPEG with this longer side in pixels, rounded up to one of {', '.join(map(str, SIZES))}.",
    ),
]
Boxes = Annotated[bool, Query(description="With boxes and class names, or the class of the image, drawn on it.")]


@router.get(
    "/{job_id}",
    summary="List the images of a dataset",
    response_model=PageOf[ListedImage],
    responses=problem_responses(*_MISSING, errors.CursorInvalid),
)
def list_images(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    class_name: ClassName = None,
    split: Split = None,
    finding: FindingCode = None,
    sort: Sort = "path",
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """With boxes, size, brightness and blur. Filters are combined. Of identical images, links lead to the first.

    A dataset that was prepared before there were image indexes answers 409 `image-index-missing` once, with
    `Retry-After` and the operation that makes its index.
    """
    job, dataset = _indexed_set(platform, job_id)
    selection = selection_of(platform, job, class_name=class_name, split=split, finding=finding, sort=sort)
    after = position_of(selection, cursor)
    index = request.app.state.image_indexes.path_of(dataset)
    page = read_page(index, selection, after=after, limit=limit, boxes=BOXES_LISTED)
    codes = codes_of_images(platform.db, job_id, [image.path for image in page.images]) if job.findings else {}
    classes = job.classes or []
    items = [listed_image(job_id, classes, image, codes.get(image.path, [])) for image in page.images]
    answer: PageOf[ListedImage] = PageOf(items=items, next_cursor=cursor_of(selection, page.end))
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")  # else it is validated twice


@router.head("/{job_id}/{sha256}", include_in_schema=False)
@router.get(
    "/{job_id}/{sha256}",
    summary="Show an image of a dataset",
    response_class=Response,
    responses=_IMAGES
    | problem_responses(
        *_MISSING, errors.ImageNotFound, errors.RangeInvalid, errors.ImageNotRendered, errors.OutOfSpace
    ),
)
async def show_image(
    request: Request, platform: CurrentPlatform, job_id: str, sha256: str, size: Size = None, boxes: Boxes = False
) -> Response:
    """As it is in the prepared dataset, or with `size` as an upright thumbnail. `sha256` is that of the file in the
    upload; where the dataset has identical images, it is the first of them by path."""
    job, dataset, image = await run_in_threadpool(_find, request, platform, job_id, sha256)
    name = file_name(image.path.rpartition("/")[2])
    if size is None and not boxes:
        stored = StoredFile(
            dataset.key,
            image.bytes,
            image.sha256,
            MEDIA_TYPES.get(image.format, _OTHER),
            file_name=name,
            at=image.at,
            etag=f"{image.sha256}-{dataset.layout_version}",
            inline=image.format in MEDIA_TYPES,
        )
        return await run_in_threadpool(send_stored, request, platform.store, stored)
    thumbnails: Thumbnails = request.app.state.thumbnails
    wanted = thumbnails.of(dataset, image, job.classes or [], size=size, boxes=boxes)
    headers = {"etag": f'"{wanted.name}"', "cache-control": NEVER_CHANGES}
    if is_known(request.headers, headers["etag"]):
        return Response(status_code=304, headers=headers)
    content = await thumbnails.read(wanted)
    headers["content-disposition"] = inline(f"{name.rpartition('.')[0] or name}.jpg")
    return Response(content, headers=headers, media_type="image/jpeg")


def _find(request: Request, platform: Platform, job_id: str, sha256: str) -> tuple[JobRow, DatasetRow, IndexedImage]:
    """Raises ImageNotFound, and what `list_images` raises."""
    job, dataset = _indexed_set(platform, job_id)
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise errors.ImageNotFound("An image is named by its sha256, 64 hexadecimal digits.", job_id=job_id)
    image = find_image(request.app.state.image_indexes.path_of(dataset), sha256, boxes=BOXES_LISTED)
    if image is None:
        raise errors.ImageNotFound("The dataset has no image with this sha256.", job_id=job_id, sha256=sha256)
    return job, dataset, image


def _indexed_set(platform: Platform, job_id: str) -> tuple[JobRow, DatasetRow]:
    """Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing."""
    job, dataset = prepared_set_of(platform.db, job_id)
    if dataset.index_key is None:
        refuse_without_index(platform, job, dataset)
    return job, dataset
