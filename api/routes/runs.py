"""Runs: listed, looked at, followed, cancelled, stopped, retried; their logs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from api.dependencies import PAGE, Cursor, Limit, ThePlatform, Wait
from api.http.downloads import MAY_CHANGE, Stored, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.openapi import event_responses, file_responses, problems
from api.http.sse import event_stream
from api.schemas import PageOf
from api.schemas.runs import AcceptedRun, Run, accepted_run, run_of
from core.db.tables import RunLogRow
from core.domain import errors
from core.domain.states import RunState
from core.services.runs import commands as runs
from core.services.runs import logs as run_logs
from core.storage import ObjectStore, StoredObject

router = APIRouter(prefix="/runs", tags=["training"])

TAIL_BYTES = 1024**2  # the most that ?tail= reads
MAX_ATTEMPT = 2**31 - 1  # a database's integer
TEXT = "text/plain; charset=utf-8"


@router.get("", summary="List runs", responses=problems(errors.CursorInvalid))
def list_runs(
    platform: ThePlatform,
    state: RunState | None = None,
    job_id: str | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> PageOf[Run]:
    """Newest first."""
    page = runs.list_runs(platform.db, cursor=cursor, limit=limit, state=state, job_id=job_id)
    return PageOf(items=[run_of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get("/{run_id}", summary="Look at a run", responses=problems(errors.RunNotFound, errors.Gone))
async def get_run(request: Request, platform: ThePlatform, run_id: str, wait: Wait = 0) -> Run:
    """State, stage, progress, attempt, problem, and the version once published."""
    await wait_until_ended(request, platform.db, run_id, seconds=wait)
    return run_of(await run_in_threadpool(runs.get_living_run, platform.db, run_id))


@router.get(
    "/{run_id}/events",
    summary="Follow a run",
    response_class=Response,
    responses=event_responses() | problems(errors.RunNotFound, errors.Gone),
)
async def follow_run(
    request: Request, platform: ThePlatform, run_id: str, last_event_id: str | None = None
) -> Response:
    """Server-sent events, each a merge patch of what polling shows, from `Last-Event-ID` on; `end` is the last."""
    await run_in_threadpool(runs.get_living_run, platform.db, run_id)
    return await event_stream(request, platform.db, run_id, last_event_id=last_event_id)


@router.get(
    "/{run_id}/log",
    summary="Read a run's log",
    response_class=Response,
    responses=file_responses("text/plain")
    | problems(errors.RunNotFound, errors.Gone, errors.NotFound, errors.RangeInvalid),
)
def run_log(
    request: Request,
    platform: ThePlatform,
    run_id: str,
    tail: Annotated[int | None, Query(ge=1, le=10_000, description="Only the last so many lines.")] = None,
    attempt: Annotated[int | None, Query(ge=1, le=MAX_ATTEMPT, description="Of this attempt; else the newest.")] = None,
) -> Response:
    """What the training printed. While it runs, the last 64 KB of it, some seconds old; the whole once it has ended.

    `X-Log-Attempt` says whose it is, and `X-Log-Part` whether it is `whole` or the `end`. The end is what remains of
    an attempt whose worker was lost.
    """
    runs.get_living_run(platform.db, run_id)
    found = run_logs.find_log(platform.db, run_id, attempt=attempt)
    if found is None:
        raise errors.NotFound("There is no log yet: nothing was printed.", run_id=run_id, attempt=attempt)
    if found.key is None:
        return _text(_last_lines(_whole_lines(found), tail), found)
    known = platform.store.head(found.key)
    if known is None:
        raise errors.NotFound("The log is not kept any more.", run_id=run_id, attempt=found.attempt)
    if tail is not None:
        return _text(_last_lines(_end_of(platform.store, known), tail), found)
    stored = Stored(known.key, known.bytes, known.sha256, TEXT, file_name=f"{run_id}.log", inline=True)
    answer = send_stored(request, platform.store, stored, cache=MAY_CHANGE)  # a retry has another log
    answer.headers.update(_part(found, whole=True))
    return answer


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    response_model=AcceptedRun,
    summary="Cancel a run and discard it",
    responses=problems(errors.RunNotFound, errors.RunNotCancellable, errors.IdempotencyKeyReused),
)
def cancel_run(platform: ThePlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    """Within 5 seconds, at any moment; nothing is published."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.cancel_run(platform.db, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


@router.post(
    "/{run_id}/stop",
    status_code=202,
    response_model=AcceptedRun,
    summary="Stop a run and keep the best so far",
    responses=problems(errors.RunNotFound, errors.RunNotCancellable, errors.IdempotencyKeyReused),
)
def stop_run(platform: ThePlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    """It is evaluated and published as a version."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.stop_run(platform.db, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


@router.post(
    "/{run_id}/retry",
    status_code=202,
    response_model=AcceptedRun,
    summary="Train a failed run on, from its checkpoint",
    responses=problems(errors.RunNotFound, errors.RunNotRetryable, errors.JobNotReady, errors.IdempotencyKeyReused),
)
def retry_run(platform: ThePlatform, idempotency: Idempotency, run_id: str) -> AcceptedRun | Response:
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        run = runs.retry_run(platform, run_id, on_commit=idempotency.keep(accepted_run))
    return accepted_run(run)


def _text(content: bytes, found: RunLogRow) -> Response:
    headers = {"cache-control": MAY_CHANGE, **_part(found, whole=False)}
    return PlainTextResponse(content, headers=headers)


def _part(found: RunLogRow, *, whole: bool) -> dict[str, str]:
    return {"x-log-attempt": str(found.attempt), "x-log-part": "whole" if whole else "end"}


def _whole_lines(found: RunLogRow) -> bytes:
    """Without the line that the end begins in the middle of."""
    cut = found.total_bytes > len(found.tail)
    return found.tail.partition(b"\n")[2] if cut else found.tail


def _last_lines(content: bytes, lines: int | None) -> bytes:
    """Only \\n ends a line: a progress bar is one, however often it returns to its start."""
    if lines is None:
        return content
    kept = content.split(b"\n")
    return b"\n".join(kept[-lines - (kept[-1] == b"") :])


def _end_of(store: ObjectStore, known: StoredObject) -> bytes:
    if known.bytes == 0:
        return b""
    start = max(known.bytes - TAIL_BYTES, 0)
    end = b"".join(store.open(known.key, start=start, end=known.bytes - 1))
    return end.partition(b"\n")[2] if start else end  # it may begin in the middle of a line
