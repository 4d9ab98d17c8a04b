"""The frozen test set of a project: set, read, listed, ended."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, OfProject, Wait
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.long_poll import wait_until_ended
from api.schemas import PageOf
from api.schemas.links import link
from api.schemas.operations import Operation, operation_of
from api.schemas.test_sets import FrozenTestSet, NewTestSet, frozen_set_of
from core.db.tables import OperationRow
from core.domain import errors
from core.services.context import Platform
from core.services.models import test_sets as frozen
from core.services.models.test_sets import FreezeStanding
from core.services.views import prepared_set_of
from http_common.openapi import file_responses, problem_responses
from http_common.problems import RETRY_SECONDS
from pipeline.index.read import Selection, count_images

router = APIRouter(prefix="/projects/{project}/test-set", tags=["projects"])

SPLIT = "test"
MEDIA_TYPE = "application/json"
_PROJECT = (errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone)
_WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": Operation, "description": "It is being frozen: the operation. Ask again after that, or `?wait=60`."}
}


@router.put(
    "",
    summary="Freeze the test split of a dataset",
    response_model=FrozenTestSet,
    responses=_WAITS
    | problem_responses(*_PROJECT, errors.JobNotFound, errors.JobNotReady, errors.DatasetElsewhere, errors.NoTestSplit),
)
async def set_test_set(
    request: Request, platform: CurrentPlatform, project: OfProject, body: NewTestSet, wait: Wait = 0
) -> FrozenTestSet | Response:
    """From then on a dataset that is prepared in the project leaves out each image that is one of its test images, or a
    near-duplicate of one (saved again, scaled, cropped by up to 5 % at an edge), with a finding `frozen-test-image`.
    Extensions of the frozen dataset keep its test images in test.

    The first request answers 202 with the operation that lists the images. The same dataset again changes nothing;
    another one is the next generation.
    """
    standing = await run_in_threadpool(_freeze, request, platform, project, body.job_id)
    if standing.operation is not None:
        await wait_until_ended(request, platform.db, standing.operation.id, seconds=wait)
        standing = await run_in_threadpool(frozen.standing_of, platform.db, standing.operation.id)
    if standing.frozen is None:
        return _waiting(standing.operation, standing.slug)
    return frozen_set_of(frozen.FrozenSet(standing.slug, standing.job.revision, standing.frozen))


@router.get(
    "",
    summary="Read the frozen test set",
    responses=problem_responses(*_PROJECT, errors.TestSetNotFound),
)
def get_test_set(platform: CurrentPlatform, project: OfProject) -> FrozenTestSet:
    """The one that holds."""
    return frozen_set_of(frozen.get_test_set(platform.db, project))


@router.get(
    "/history",
    summary="List the generations of the frozen test set",
    responses=problem_responses(*_PROJECT, errors.CursorInvalid),
)
def list_test_sets(
    platform: CurrentPlatform, project: OfProject, cursor: Cursor = None, limit: Limit = PAGE
) -> PageOf[FrozenTestSet]:
    """Newest first, also those that have ended."""
    page = frozen.list_test_sets(platform.db, project, cursor=cursor, limit=limit)
    return PageOf(items=[frozen_set_of(each) for each in page.items], next_cursor=page.next_cursor)


@router.delete(
    "",
    status_code=204,
    response_class=Response,
    summary="End the freeze of the test set",
    responses=problem_responses(*_PROJECT, errors.TestSetNotFound),
)
def end_freeze(platform: CurrentPlatform, project: OfProject) -> Response:
    """New datasets take its images again, and the dataset can be deleted. Its evaluations stay."""
    frozen.end_freeze(platform.db, project)
    return Response(status_code=204)


@router.head("/{generation}/images", include_in_schema=False)
@router.get(
    "/{generation}/images",
    summary="Download the list of the frozen test images",
    response_class=Response,
    responses=file_responses(MEDIA_TYPE) | problem_responses(*_PROJECT, errors.TestSetNotFound, errors.RangeInvalid),
)
def get_list(
    request: Request, platform: CurrentPlatform, project: OfProject, generation: int, as_link: AsLink = False
) -> Response:
    """Paths, sha256s and perceptual hashes. With it, `python -m pipeline fingerprint data.zip --exclude` makes the same
    fingerprint as the service."""
    found = frozen.get_generation(platform.db, project, generation)
    row = found.row
    return send_stored(
        request,
        platform.store,
        StoredFile(
            row.key,
            row.bytes,
            row.sha256,
            MEDIA_TYPE,
            file_name=file_name(found.slug, "test-set", f"{generation}.json"),
        ),
        cache=NEVER_CHANGES,
        location=link(f"/projects/{found.slug}/test-set/{generation}/images"),
        as_link=as_link,
    )


def _freeze(request: Request, platform: Platform, project: str, dataset: str) -> FreezeStanding:
    """Raises NoTestSplit, too; without an index, the operation makes that, and fails where there are no test images."""
    job = frozen.dataset_to_freeze(platform.db, project, dataset)
    _, prepared = prepared_set_of(platform.db, job.id)
    if prepared.index_key is not None:
        index = request.app.state.image_indexes.path_of(prepared)
        if not count_images(index, Selection(split=SPLIT)):
            raise errors.NoTestSplit("Its split has no test images: nothing can be frozen.", job_id=job.id)
    return frozen.freeze(platform, project, dataset)


def _waiting(operation: OperationRow | None, slug: str) -> Response:
    assert operation is not None  # noqa: S101 - for the type checker: it is frozen, or the operation freezes it
    body = operation_of(operation, {str(operation.project_id): slug})
    headers = {"location": link(f"/operations/{operation.id}"), "retry-after": RETRY_SECONDS}
    return Response(body.model_dump_json(), status_code=202, headers=headers, media_type=MEDIA_TYPE)
