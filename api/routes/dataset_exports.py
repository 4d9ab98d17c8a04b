"""A dataset in a format that others read: written when it is first downloaded, listed, deleted."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, Wait
from api.http.downloads import MAY_CHANGE, StoredFile, file_name, send_stored
from api.http.long_poll import read_when_settled
from api.http.made_on_read import WAITS, queues_nothing, waiting
from api.http.reading import CurrentReads
from api.schemas import PageOf
from api.schemas.dataset_exports import (
    ArrangeQuery,
    DatasetExport,
    FormatQuery,
    dataset_export_of,
    download_link,
)
from core.db.tables import DatasetExportRow, JobRow
from core.domain import errors
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.jobs.dataset_exports import (
    DatasetExportChoice,
    Standing,
    delete_dataset_export,
    find_dataset_export,
    list_dataset_exports,
    request_dataset_export,
)
from core.services.views import get_ready_job
from http_common.openapi import file_responses, problem_responses
from pipeline.params.dataset_exports import require_format

router = APIRouter(prefix="/dataset", tags=["datasets"])

MEDIA_TYPE = "application/zip"
LOSSES = "darkroom-losses"  # a header: `difficult=3, paths-changed=20`
_MISSING = (errors.JobNotFound, errors.Gone)


@router.head("/export/{job_id}", include_in_schema=False)
@router.get(
    "/export/{job_id}",
    summary="Download a dataset in another format",
    response_class=Response,
    responses=file_responses(MEDIA_TYPE)
    | WAITS
    | problem_responses(
        *_MISSING,
        errors.JobNotReady,
        errors.DatasetExportFailed,
        errors.DatasetFormatUnsupported,
        errors.RangeInvalid,
    ),
)
async def download_dataset_export(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    export_format: FormatQuery,
    arrange: ArrangeQuery = "paths",
    wait: Wait = 0,
    as_link: AsLink = False,
) -> Response:
    """A ZIP with the uploaded images as they are, their boxes or classes, the splits, and a README.md with what the
    format could not keep, which the header `Darkroom-Losses` counts. It can be uploaded again: with the same content
    fingerprint, unless a loss says otherwise.

    It is written once, when it is first requested: until then GET answers 202 with the operation, which it has queued.
    HEAD, and what a browser prefetches, queue nothing.
    """
    choice = DatasetExportChoice(export_format, arrange)

    def read() -> Standing:
        require_format(str(get_ready_job(platform.db, job_id).kind), choice.format)
        if queues_nothing(request):
            return find_dataset_export(platform.db, job_id, choice)
        return request_dataset_export(platform, job_id, choice)

    standing = await read_when_settled(request, platform.db, read, _waits_for, seconds=wait)
    if standing.export is None:
        return waiting(standing.operation, standing.job.project)
    return await run_in_threadpool(_send, request, platform, standing.job, standing.export, as_link)


@router.get(
    "/exports/{job_id}",
    summary="List the exports of a dataset",
    response_model=PageOf[DatasetExport],
    responses=problem_responses(*_MISSING, errors.CursorInvalid),
)
async def list_exports_of_dataset(
    platform: CurrentPlatform, reads: CurrentReads, job_id: str, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Newest first. What is being written is among the operations: `/operations?job_id=...`."""

    def read() -> PageOf[DatasetExport]:
        job = get_job(platform.db, job_id)
        page = list_dataset_exports(platform.db, job_id, cursor=cursor, limit=limit)
        items = [dataset_export_of(row, file_name=_download_name(job, row)) for row in page.items]
        return PageOf(items=items, next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.delete(
    "/exports/{job_id}/{export_id}",
    status_code=204,
    summary="Delete an export of a dataset",
    responses=problem_responses(*_MISSING, errors.DatasetExportNotFound),
)
def delete_export_of_dataset(platform: CurrentPlatform, job_id: str, export_id: str) -> None:
    """The same can be made again."""
    delete_dataset_export(platform.db, job_id, export_id)


def _waits_for(standing: Standing) -> str | None:
    return standing.operation.id if standing.operation else None


def _send(request: Request, platform: Platform, job: JobRow, export: DatasetExportRow, as_link: bool) -> Response:
    response = send_stored(
        request,
        platform.store,
        StoredFile(export.key, export.bytes, export.sha256, export.media_type, file_name=_download_name(job, export)),
        cache=MAY_CHANGE,  # deleted and made again by a later release, it may be another one
        location=download_link(job.id, export.format, export.options["arrange"]),
        as_link=as_link,
    )
    response.headers[LOSSES] = ", ".join(f"{loss['code']}={loss['count']}" for loss in export.losses) or "none"
    return response


def _download_name(job: JobRow, export: DatasetExportRow) -> str:
    """`raccoons-d2-coco.zip`, `raccoons-d2-yolo-splits.zip`: by the name of the dataset, which is one of its project"""
    arrange = export.options["arrange"]
    return file_name(job.project, f"d{job.revision}", export.format, "" if arrange == "paths" else arrange) + ".zip"
