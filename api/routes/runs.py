"""Runs: list, read, follow, cancel, stop and retry them; read their logs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, ProjectFilter, Wait
from api.http.downloads import MAY_CHANGE, StoredFile, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads, Reads
from api.http.run_logs import last_lines, stored_log
from api.http.sse import LastEventId, event_stream
from api.schemas import PageOf
from api.schemas.runs import AcceptedRun, Run, accepted_run, run_of
from core.db.tables import RunLogRow
from core.domain import errors
from core.domain.states import RunState
from core.services.context import Platform
from core.services.runs import commands as runs
from core.services.runs import logs as run_logs
from http_common.openapi import event_responses, file_responses, problem_responses

router = APIRouter(prefix="/runs", tags=["training"])

MAX_ATTEMPT = 2**31 - 1  # the largest integer of the database
TEXT = "text/plain; charset=utf-8"


@router.get(
    "",
    summary="List runs",
    response_model=PageOf[Run],
    responses=problem_responses(errors.CursorInvalid, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone),
)
async def list_runs(
    platform: CurrentPlatform,
    reads: CurrentReads,
    state: RunState | None = None,
    job_id: str | None = None,
    project: ProjectFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first."""
    return await page_of_runs(platform, reads, state=state, job_id=job_id, project=project, cursor=cursor, limit=limit)


async def page_of_runs(
    platform: Platform,
    reads: Reads,
    *,
    state: RunState | None,
    job_id: str | None,
    project: str | None,
    cursor: str | None,
    limit: int,
) -> Response:
    mlflow = platform.settings.mlflow_link

    def read() -> PageOf[Run]:
        page = runs.list_runs(platform.db, cursor=cursor, limit=limit, state=state, job_id=job_id, project=project)
        return PageOf(items=[run_of(row, mlflow_link=mlflow) for row in page.items], next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/{run_id}",
    summary="Read a run",
    response_model=Run,
    responses=problem_responses(errors.RunNotFound, errors.Gone),
)
async def get_run(
    request: Request, platform: CurrentPlatform, reads: CurrentReads, run_id: str, wait: Wait = 0
) -> Response:
    """State, stage, progress, attempt, problem and, once published, the version."""
    await wait_until_ended(request, platform.db, run_id, seconds=wait)
    mlflow = platform.settings.mlflow_link
    return await reads.answer(lambda: run_of(runs.get_living_run(platform.db, run_id), mlflow_link=mlflow))


@router.get(
    "/{run_id}/events",
    summary="Follow the events of a run",
    response_class=Response,
    responses=event_responses() | problem_responses(errors.RunNotFound, errors.Gone),
)
async def follow_run(
    request: Request, platform: CurrentPlatform, run_id: str, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events after `Last-Event-ID`, each a merge patch of the polled run; `end` is the last one."""
    await run_in_threadpool(runs.get_living_run, platform.db, run_id)
    return await event_stream(request, platform.db, run_id, last_event_id=last_event_id)


@router.get(
    "/{run_id}/log",
    summary="Read a run's log",
    response_class=Response,
    responses=file_responses("text/plain")
    | problem_responses(errors.RunNotFound, errors.Gone, errors.NotFound, errors.RangeInvalid),
)
def run_log(
    request: Request,
    platform: CurrentPlatform,
    run_id: str,
    tail: Annotated[int | None, Query(ge=1, le=10_000, description="Only this many lines of the end.")] = None,
    attempt: Annotated[
        int | None, Query(ge=1, le=MAX_ATTEMPT, description="Number of the attempt. By default the newest one.")
    ] = None,
) -> Response:
    """The output of the training. While it runs, the last 64 KB, a few seconds old; afterwards all of it.

    `X-Log-Attempt` is the number of the attempt, and `X-Log-Part` is `whole` or `end`. Of an attempt whose worker was
    lost only the end remains.
    """
    runs.get_living_run(platform.db, run_id)
    log = run_logs.find_log(platform.db, run_id, attempt=attempt)
    if log is None:
        raise errors.NotFound("There is no log yet.", run_id=run_id, attempt=attempt)
    stored = stored_log(platform.store, log)
    if stored is None or tail is not None:
        return _end_response(last_lines(platform.store, log, stored, tail), log)
    file = StoredFile(stored.key, stored.bytes, stored.sha256, TEXT, file_name=f"{run_id}.log", inline=True)
    answer = send_stored(request, platform.store, file, cache=MAY_CHANGE)  # a retry writes another log
    answer.headers.update(_part(log, whole=True))
    return answer


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    response_model=AcceptedRun,
    summary="Cancel a run and discard its results",
    responses=problem_responses(
        errors.RunNotFound, errors.Gone, errors.RunNotCancellable, errors.RequestInFlight, errors.IdempotencyKeyReused
    ),
)
def cancel_run(platform: CurrentPlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    """Takes at most 5 seconds, at any moment. Nothing is published."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.cancel_run(platform.db, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


@router.post(
    "/{run_id}/stop",
    status_code=202,
    response_model=AcceptedRun,
    summary="Stop a run and keep its best epoch",
    responses=problem_responses(
        errors.RunNotFound, errors.Gone, errors.RunNotCancellable, errors.RequestInFlight, errors.IdempotencyKeyReused
    ),
)
def stop_run(platform: CurrentPlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    """The best epoch so far is evaluated and published as a version."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.stop_run(platform.db, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


@router.post(
    "/{run_id}/retry",
    status_code=202,
    response_model=AcceptedRun,
    summary="Continue a failed run from its checkpoint",
    responses=problem_responses(
        errors.RunNotFound,
        errors.Gone,
        errors.RunNotRetryable,
        errors.JobNotReady,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
    ),
)
def retry_run(platform: CurrentPlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    """Queues the run again. Without a checkpoint it starts from the beginning."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.retry_run(platform, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


def _end_response(content: bytes, log: RunLogRow) -> Response:
    headers = {"cache-control": MAY_CHANGE, **_part(log, whole=False)}
    return PlainTextResponse(content, headers=headers)


def _part(log: RunLogRow, *, whole: bool) -> dict[str, str]:
    return {"x-log-attempt": str(log.attempt), "x-log-part": "whole" if whole else "end"}
