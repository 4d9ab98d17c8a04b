"""Batches of predictions: requested, listed, read, downloaded, deleted."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, ProjectFilter, Wait
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads
from api.schemas import PageOf
from api.schemas.batch_predictions import (
    FILES,
    BatchDetail,
    BatchFields,
    BatchPrediction,
    NewBatch,
    ResultFormat,
    batch_detail,
    batch_of,
)
from api.schemas.links import link
from api.schemas.operations import Operation, requested_operation, status_of_requested
from api.uploads.batch import requested_batch
from core.domain import errors
from core.domain.errors import ArtifactNotFound
from core.domain.media_types import ARTIFACT_TYPES
from core.services.models import batch_predictions as batches
from core.services.operations.commands import get_operation
from http_common.openapi import file_responses, problem_responses
from http_common.prediction_requests import FAILURES

router = APIRouter(prefix="/predict/batch", tags=["predictions"])

_MODEL = (errors.JobNotFound, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone, errors.VersionNotFound)
_ONE = (errors.BatchNotFound, errors.Gone)
_FIELDS = BatchFields.model_json_schema()["properties"]
_BYTES = {"type": "string", "format": "binary"}
_FORM = {"file": {**_BYTES, "description": "A ZIP of images."}, **_FIELDS}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{NewBatch.__name__}"}},
        "application/zip": {"schema": _BYTES},
        "multipart/form-data": {"schema": {"type": "object", "required": ["file", "model"], "properties": _FORM}},
    },
}
_QUERY = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": schema["description"]}
    for name, schema in _FIELDS.items()
]


@router.post(
    "",
    status_code=202,
    response_model=Operation,
    summary="Predict many images",
    responses=problem_responses(
        *FAILURES,
        *(errors.UploadInvalid, errors.UploadNotFound, errors.UploadOffsetDiffers, errors.JobNotReady),
        *(errors.ImageUrlRefused, errors.RequestInFlight, errors.IdempotencyKeyReused, errors.OutOfSpace),
    ),
    openapi_extra={"requestBody": _BODY, "parameters": _QUERY},
)
async def predict_batch(
    request: Request, response: Response, platform: CurrentPlatform, idempotency: Idempotency, wait: Wait = 0
) -> Operation | Response:
    """The images of a dataset (`job_id`, perhaps one `split`), of an upload, or of URLs, as JSON; or a ZIP of images as
    the body or as the form field `file`, with the model and the options in the query or in the form.

    The answer is an operation, whose id is that of the batch. An image that cannot be predicted fails alone, and is
    listed with the reason.
    """
    async with idempotency.claimed_for_long():
        requested = await requested_batch(request, platform, idempotency)
    if isinstance(requested, Response):
        return requested
    response.status_code = status_of_requested(requested)
    await wait_until_ended(request, platform.db, requested.operation.id, seconds=wait)
    ended = await run_in_threadpool(get_operation, platform.db, requested.operation.id)
    return requested_operation(requested._replace(operation=ended))


@router.get(
    "",
    summary="List batches of predictions",
    response_model=PageOf[BatchPrediction],
    responses=problem_responses(errors.CursorInvalid, errors.AliasNotFound, errors.AliasElsewhere, *_MODEL),
)
async def list_batches(
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: ProjectFilter = None,
    model: Annotated[str | None, Query(max_length=200, description="A model, such as `raccoons/v3`.")] = None,
    job_id: Annotated[str | None, Query(max_length=80, description="The job whose images are predicted.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first. `project` is that of the model."""

    def read() -> PageOf[BatchPrediction]:
        page = batches.list_batches(
            platform.db, cursor=cursor, limit=limit, project=project, model=model, job_id=job_id
        )
        return PageOf(items=[batch_of(each) for each in page.items], next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/{operation_id}",
    summary="Read a batch of predictions",
    response_model=BatchDetail,
    responses=problem_responses(*_ONE),
)
async def get_batch(
    request: Request, platform: CurrentPlatform, reads: CurrentReads, operation_id: str, wait: Wait = 0
) -> Response:
    """Its state and progress; once it has succeeded, its summary and its files."""
    await run_in_threadpool(batches.get_batch, platform.db, operation_id)
    await wait_until_ended(request, platform.db, operation_id, seconds=wait)

    def read() -> BatchDetail:
        batch = batches.get_batch(platform.db, operation_id)
        return batch_detail(batch, batches.artifacts_of_batch(platform.db, operation_id))

    return await reads.answer(read)


@router.delete(
    "/{operation_id}", status_code=204, summary="Delete a batch of predictions", responses=problem_responses(*_ONE)
)
def delete_batch(platform: CurrentPlatform, operation_id: str) -> None:
    """With its files. One that has not ended is cancelled."""
    batches.delete_batch(platform.db, operation_id)


@router.head("/{operation_id}/results", include_in_schema=False)
@router.get(
    "/{operation_id}/results",
    summary="Download the results of a batch",
    response_class=Response,
    responses=file_responses(*ARTIFACT_TYPES)
    | problem_responses(*_ONE, errors.BatchNotReady, errors.ArtifactNotFound, errors.RangeInvalid),
)
def get_batch_results(
    request: Request,
    platform: CurrentPlatform,
    operation_id: str,
    result_format: Annotated[ResultFormat, Query(alias="format")] = "jsonl",
    as_link: AsLink = False,
) -> Response:
    """`jsonl`: a line for each image; `csv`: a row for each box or label; of detectors `coco`, a dataset, and
    `coco-results`, the list that evaluators read; `zip`: the images with their predictions as labels, in a form that
    can be corrected and uploaded."""
    name = FILES[result_format]
    found = batches.find_batch_artifact(platform.db, operation_id, name)
    batch = batches.get_batch(platform.db, operation_id)
    if found is None:
        why = "was requested without it" if result_format == "zip" else "is of a classifier, which has no boxes"
        raise ArtifactNotFound(f"The batch {why}: it has no {name}.", operation_id=operation_id)
    parts = (batch.project, f"v{batch.number}", operation_id.rpartition("_")[2][-6:], name)
    return send_stored(
        request,
        platform.store,
        StoredFile(found.key, found.bytes, found.sha256, found.media_type, file_name=file_name(*parts)),
        cache=NEVER_CHANGES,
        location=link(f"/predict/batch/{operation_id}/results", format=result_format),
        as_link=as_link,
    )
