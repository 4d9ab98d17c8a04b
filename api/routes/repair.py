"""What is wrong with an upload, mended: a repair is a job of its own, made from the other's ZIP."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, Cursor, Limit, ThePlatform, Wait
from api.http.downloads import Stored, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.http.openapi import file_responses, problems
from api.schemas import PageOf
from api.schemas.jobs import AcceptedJob, FindingItem, accepted_job, finding_item
from core.domain import errors
from core.services.jobs import repair as repairs
from core.services.jobs.commands import get_job

router = APIRouter(tags=["datasets"])


@router.post(
    "/jobs/{job_id}/repair",
    status_code=202,
    response_model=AcceptedJob,
    summary="Repair an upload",
    responses=problems(
        errors.JobNotFound, errors.Gone, errors.JobNotRepairable, errors.RequestInFlight, errors.IdempotencyKeyReused
    ),
)
async def repair_job(
    request: Request, platform: ThePlatform, idempotency: Idempotency, job_id: str, wait: Wait = 0
) -> AcceptedJob | Response:
    """A new job whose source is the repaired ZIP; a second request answers with the same job.

    Boxes are swapped, clipped or dropped, sizes and suffixes mended, junk and what cannot be mended left out. Every
    change is in its repair log. The job that is repaired stays as it is.
    """
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay():
            return replayed
        on_commit = idempotency.keep(accepted_job)
        job = await run_in_threadpool(repairs.repair_job, platform, job_id, on_commit=on_commit)
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


@router.get(
    "/jobs/{job_id}/repair-log",
    summary="Read what a repair changed",
    responses=problems(errors.JobNotFound, errors.Gone),
)
def repair_log(platform: ThePlatform, job_id: str, cursor: Cursor = None, limit: Limit = PAGE) -> PageOf[FindingItem]:
    """Every change, with its place in the ZIP that was repaired; empty for a job that is no repair."""
    page = repairs.list_repairs(platform.db, job_id, cursor=cursor, limit=limit)
    return PageOf(items=[finding_item(row) for row in page.items], next_cursor=page.next_cursor)


@router.head("/dataset/source/{job_id}", include_in_schema=False)
@router.get(
    "/dataset/source/{job_id}",
    summary="Download the source ZIP",
    response_class=Response,
    responses=file_responses("application/zip") | problems(errors.JobNotFound, errors.Gone, errors.RangeInvalid),
)
def download_source(request: Request, platform: ThePlatform, job_id: str, as_link: AsLink = False) -> Response:
    """The ZIP that the job was made of: the upload, or the repaired one. 410 when it is no longer kept."""
    job = get_job(platform.db, job_id)
    if job.source_key is None:
        raise errors.Gone("The ZIP is not made yet, or no longer kept.", job_id=job_id)
    name = file_name(job.source_name)
    stored = Stored(job.source_key, job.source_bytes, job.source_sha256, "application/zip", file_name=name)
    return send_stored(request, platform.store, stored, as_link=as_link)
