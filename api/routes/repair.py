"""What is wrong with an upload, mended: a repair is a job of its own, made from the other's ZIP."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, Cursor, Limit, ThePlatform, Wait
from api.http.downloads import Stored, file_name, send_stored
from api.http.idempotency import Once, TheOnce
from api.http.long_poll import wait_until_ended
from api.http.openapi import file_responses, problems
from api.schemas import PageOf
from api.schemas.jobs import AcceptedJob, FindingItem, accepted_job, finding_item
from core.domain import errors
from core.services.context import Platform
from core.services.jobs import repair as repairing
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
async def repair_job(request: Request, platform: ThePlatform, once: TheOnce, job_id: str, wait: Wait = 0) -> Response:
    """A new job whose source is the repaired ZIP; a second request answers with the same job.

    Boxes are swapped, clipped or dropped, sizes and suffixes mended, junk and what cannot be mended left out. Every
    change is in its repair log. The job that is repaired stays as it is.
    """
    answer, new_id = await run_in_threadpool(_repair_once, platform, once, job_id)
    if wait == 0 or new_id is None:
        return answer
    await wait_until_ended(request, platform.db, new_id, seconds=wait)
    row = await run_in_threadpool(get_job, platform.db, new_id, allow_deleted=True)
    return Response(accepted_job(row).model_dump_json(), status_code=202, media_type="application/json")


def _repair_once(platform: Platform, once: Once, job_id: str) -> tuple[Response, str | None]:
    """The answer, and the id of the repair's job unless the answer was an earlier one."""
    repairs: list[str] = []

    def show(row: Any) -> AcceptedJob:
        repairs[:] = [row.id]
        return accepted_job(row)

    answer = once.answer(lambda on_commit: repairing.repair_job(platform, job_id, on_commit=on_commit), show)
    return answer, repairs[0] if repairs else None


@router.get(
    "/jobs/{job_id}/repair-log",
    summary="Read what a repair changed",
    responses=problems(errors.JobNotFound, errors.Gone),
)
def repair_log(platform: ThePlatform, job_id: str, cursor: Cursor = None, limit: Limit = PAGE) -> PageOf[FindingItem]:
    """Every change, with its place in the ZIP that was repaired; empty for a job that is no repair."""
    page = repairing.list_repairs(platform.db, job_id, cursor=cursor, limit=limit)
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
