"""Repairing an upload: a repair is a job of its own, made from the ZIP of another."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, JoinedProject, Limit, Wait
from api.http.downloads import StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.schemas import PageOf
from api.schemas.jobs import AcceptedJob, FindingItem, accepted_job, finding_item
from core.domain import errors
from core.services.jobs import repair as repairs
from core.services.jobs.commands import get_job
from http_common.openapi import file_responses, problem_responses

router = APIRouter(tags=["datasets"])


@router.post(
    "/jobs/{job_id}/repair",
    status_code=202,
    response_model=AcceptedJob,
    summary="Repair an upload",
    responses=problem_responses(
        errors.JobNotFound,
        errors.JobNotRepairable,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
        *errors.JOINING,
    ),
)
async def repair_job(
    request: Request,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    job_id: str,
    project: JoinedProject = None,
    wait: Wait = 0,
) -> AcceptedJob | Response:
    """Creates a job whose source is the repaired ZIP; a second request answers with the same job. It joins `project`,
    by default that of the original job.

    Boxes are swapped, clipped or dropped, sizes and suffixes corrected; stray files and items that cannot be repaired
    are left out. Every change is in the repair log. The original job stays as it is.
    """
    meaning = {"project": project} if project else None
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(accepted_job, meaning)
        job = await run_in_threadpool(
            repairs.repair_job, platform, job_id, project=project or None, on_commit=on_commit
        )
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


@router.get(
    "/jobs/{job_id}/repair-log",
    summary="List the changes of a repair",
    responses=problem_responses(errors.JobNotFound, errors.Gone),
)
def repair_log(
    platform: CurrentPlatform, job_id: str, cursor: Cursor = None, limit: Limit = PAGE
) -> PageOf[FindingItem]:
    """Every change, with its location in the original ZIP. Empty for a job that is not a repair."""
    page = repairs.list_repairs(platform.db, job_id, cursor=cursor, limit=limit)
    return PageOf(items=[finding_item(row) for row in page.items], next_cursor=page.next_cursor)


@router.head("/dataset/source/{job_id}", include_in_schema=False)
@router.get(
    "/dataset/source/{job_id}",
    summary="Download the source ZIP",
    response_class=Response,
    responses=file_responses("application/zip")
    | problem_responses(errors.JobNotFound, errors.Gone, errors.RangeInvalid),
)
def download_source(request: Request, platform: CurrentPlatform, job_id: str, as_link: AsLink = False) -> Response:
    """The ZIP that the job was created from, uploaded, repaired or imported. 410 when it is no longer stored."""
    job = get_job(platform.db, job_id)
    if job.source_key is None:
        raise errors.Gone("The ZIP does not exist yet, or is no longer stored.", job_id=job_id)
    name = file_name(job.source_name)
    stored = StoredFile(job.source_key, job.source_bytes, job.source_sha256, "application/zip", file_name=name)
    return send_stored(request, platform.store, stored, as_link=as_link)
