"""Jobs: list, read, follow, retry and delete them."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, ProjectFilter, Wait
from api.http.downloads import MAY_CHANGE, file_name
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads, Reads
from api.http.sse import LastEventId, event_stream
from api.schemas import PageOf
from api.schemas.jobs import AcceptedJob, FindingItem, Job, JobItem, accepted_job, finding_item, job_item, job_with_all
from api.web.findings_csv import findings_csv
from core.domain import errors
from core.domain.states import JobState
from core.services.context import Platform
from core.services.jobs import commands as jobs
from core.services.jobs import deletion
from core.services.views import job_overview
from core.storage.attachment import attachment
from http_common.openapi import event_responses, problem_responses

router = APIRouter(prefix="/jobs", tags=["datasets"])

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "RFC 4180, UTF-8.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.get(
    "",
    summary="List jobs",
    response_model=PageOf[JobItem],
    responses=problem_responses(errors.CursorInvalid, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone),
)
async def list_jobs(
    platform: CurrentPlatform,
    reads: CurrentReads,
    state: JobState | None = None,
    project: ProjectFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first. Deleted jobs are listed only with `state=deleted`."""
    return await page_of_jobs(platform, reads, state=state, project=project, cursor=cursor, limit=limit)


async def page_of_jobs(
    platform: Platform, reads: Reads, *, state: JobState | None, project: str | None, cursor: str | None, limit: int
) -> Response:
    def read() -> PageOf[JobItem]:
        page = jobs.list_jobs(platform.db, cursor=cursor, limit=limit, state=state, project=project)
        return PageOf(items=[job_item(row) for row in page.items], next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/{job_id}",
    summary="Read a job",
    response_model=Job,
    responses=problem_responses(errors.JobNotFound, errors.Gone),
)
async def get_job(
    request: Request, platform: CurrentPlatform, reads: CurrentReads, job_id: str, wait: Wait = 0
) -> Response:
    """State, stage, problem, number of findings by code, fingerprint, runs and versions."""
    await wait_until_ended(request, platform.db, job_id, seconds=wait)
    return await reads.answer(lambda: job_with_all(job_overview(platform.db, job_id)))


@router.get(
    "/{job_id}/findings",
    summary="List the findings of a job",
    responses=problem_responses(errors.JobNotFound, errors.Gone),
)
def list_findings(
    platform: CurrentPlatform,
    job_id: str,
    code: str | None = None,
    severity: Literal["error", "warning", "note"] | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> PageOf[FindingItem]:
    """Everything that is wrong or unusual in the dataset, with its location and the remedy."""
    page = jobs.list_findings(platform.db, job_id, cursor=cursor, limit=limit, code=code, severity=severity)
    return PageOf(items=[finding_item(row) for row in page.items], next_cursor=page.next_cursor)


@router.get(
    "/{job_id}/findings.csv",
    summary="Download the findings of a job as CSV",
    response_class=Response,
    responses=_CSV | problem_responses(errors.JobNotFound, errors.Gone),
)
def download_findings(
    platform: CurrentPlatform,
    job_id: str,
    code: str | None = None,
    severity: Literal["error", "warning", "note"] | None = None,
) -> Response:
    """All findings. Text that a spreadsheet would compute as a formula has a `'` in front."""
    job = jobs.get_job(platform.db, job_id)
    chunks = findings_csv(platform.db, job_id, code=code, severity=severity)
    headers = {"content-disposition": attachment(file_name(job.name, "findings.csv")), "cache-control": MAY_CHANGE}
    return StreamingResponse(chunks, headers=headers, media_type="text/csv")


@router.get(
    "/{job_id}/events",
    summary="Follow the events of a job",
    response_class=Response,
    responses=event_responses() | problem_responses(errors.JobNotFound, errors.Gone),
)
async def follow_job(
    request: Request, platform: CurrentPlatform, job_id: str, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events after `Last-Event-ID`, each a merge patch of the polled job; `end` is the last one."""
    last_seen = request.headers.get("last-event-id") or last_event_id
    if last_seen is None:  # a client that is already following gets the deletion as an event
        await run_in_threadpool(jobs.get_job, platform.db, job_id)
    return await event_stream(request, platform.db, job_id, last_event_id=last_event_id)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=AcceptedJob,
    summary="Prepare a failed job again",
    responses=problem_responses(
        errors.JobNotFound, errors.Gone, errors.JobNotRetryable, errors.RequestInFlight, errors.IdempotencyKeyReused
    ),
)
def retry_job(platform: CurrentPlatform, idempotency: Idempotency, job_id: str) -> AcceptedJob | Response:
    """Only for a job in the state `failed`. A rejected job needs another upload or a repair."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        job = jobs.retry_job(platform, job_id, on_commit=idempotency.keep(accepted_job))
    return accepted_job(job)


@router.delete(
    "/{job_id}",
    summary="Delete a job",
    responses=problem_responses(errors.JobNotFound, errors.Gone, errors.JobInUse),
)
def delete_job(platform: CurrentPlatform, job_id: str, cancel: bool = False) -> AcceptedJob:
    """Deletes its models too and, unless another job shares it, its dataset. Afterwards it answers 410. `cancel=true`
    cancels its active runs first."""
    return accepted_job(deletion.delete_job(platform, job_id, cancel=cancel))
