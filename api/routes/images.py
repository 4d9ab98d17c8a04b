"""Images of a prepared dataset: a grid of samples, and its plots."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dependencies import CurrentPlatform
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, inline, send_stored
from api.http.ranges import is_known
from api.web.sample_grid import assemble
from core.domain import errors
from core.domain.keys import PLOT_NAMES, plot_key, samples_key
from core.services.context import Platform
from core.services.views import get_ready_job
from core.storage import ObjectMissing, StoredObject
from http_common.openapi import file_responses, problem_responses

router = APIRouter(prefix="/dataset", tags=["datasets"])

MAX_SAMPLES = 64  # prepare stores this many (pipeline/prepare/gallery.py)
Count = Annotated[int, Query(ge=1, le=MAX_SAMPLES, description="Number of images in the grid.")]
_MISSING = (errors.JobNotFound, errors.Gone, errors.JobNotReady, errors.ImageNotFound)
_PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A PNG.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has the current version (If-None-Match)."},
}


@router.head("/sample/{job_id}", include_in_schema=False)
@router.get(
    "/sample/{job_id}",
    summary="Render sample images of a dataset",
    response_class=Response,
    responses=_PNG | problem_responses(*_MISSING),
)
def dataset_sample(request: Request, platform: CurrentPlatform, job_id: str, n: Count = 16) -> Response:
    """A grid of images with their boxes and class names, or their class. The sample is random with the job's seed, and
    therefore always the same."""
    job = get_ready_job(platform.db, job_id)
    stored = _stored(platform, samples_key(job.id, job.attempt), job_id=job_id, name="sample")
    headers = {"etag": f'"{stored.sha256}-{n}"', "cache-control": NEVER_CHANGES}
    if is_known(request.headers, headers["etag"]):
        return Response(status_code=304, headers=headers)
    try:
        samples = b"".join(platform.store.open(stored.key))
    except ObjectMissing as error:
        raise errors.Unavailable("The file is missing from the object store.", service="store") from error
    headers["content-disposition"] = inline(file_name(job.name, f"sample-{n}.png"))
    return Response(assemble(samples, n), headers=headers, media_type="image/png")


@router.head("/plots/{job_id}/{name}", include_in_schema=False)
@router.get(
    "/plots/{job_id}/{name}",
    summary="Download a plot of a dataset",
    response_class=Response,
    responses=file_responses("image/png") | problem_responses(*_MISSING, errors.RangeInvalid),
)
def dataset_plot(request: Request, platform: CurrentPlatform, job_id: str, name: str) -> Response:
    """`class_distribution`, `resolution_scatter` or, for detection, `box_centres`, as PNG."""
    job = get_ready_job(platform.db, job_id)
    plot = name.removesuffix(".png")
    if plot not in PLOT_NAMES:
        raise errors.ImageNotFound(
            f"There is no such plot; the plots are {', '.join(PLOT_NAMES)}.", job_id=job_id, name=name[:200]
        )
    found = _stored(platform, plot_key(job.id, job.attempt, plot), job_id=job_id, name=plot)
    name = file_name(job.name, f"{plot}.png")
    stored = StoredFile(found.key, found.bytes, found.sha256, "image/png", file_name=name, inline=True)
    return send_stored(request, platform.store, stored)


def _stored(platform: Platform, key: str, *, job_id: str, name: str) -> StoredObject:
    """Raises ImageNotFound, for a job of an older version or one whose images could not be rendered."""
    stored = platform.store.head(key)
    if stored is None:
        raise errors.ImageNotFound(
            "This image was not rendered when the dataset was prepared.", job_id=job_id, name=name
        )
    return stored
