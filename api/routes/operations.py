"""Operations: list, read, follow, cancel and retry them. Other endpoints queue them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads
from api.http.sse import LastEventId, event_stream
from api.schemas import PageOf
from api.schemas.operations import AcceptedOperation, Operation, accepted_operation, operation_of
from core.db import Database
from core.db.tables import OperationRow
from core.domain import errors
from core.domain.states import RunState
from core.services.operations import commands as operations
from core.services.projects.lookup import slugs_of
from http_common.openapi import event_responses, problem_responses

router = APIRouter(prefix="/operations", tags=["operations"])


@router.get(
    "",
    summary="List operations",
    response_model=PageOf[Operation],
    responses=problem_responses(errors.CursorInvalid, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone),
)
async def list_operations(
    platform: CurrentPlatform,
    reads: CurrentReads,
    state: RunState | None = None,
    kind: Annotated[str | None, Query(max_length=40)] = None,
    project: Annotated[str | None, Query(max_length=80, description="Name or id of a project.")] = None,
    job_id: str | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first: everything in the background that is neither a job nor a run."""

    def read() -> PageOf[Operation]:
        page = operations.list_operations(
            platform.db, cursor=cursor, limit=limit, state=state, kind=kind, project=project, job_id=job_id
        )
        return PageOf(items=_described(platform.db, page.items), next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/{operation_id}",
    summary="Read an operation",
    response_model=Operation,
    responses=problem_responses(errors.OperationNotFound, errors.Gone),
)
async def get_operation(
    request: Request, platform: CurrentPlatform, reads: CurrentReads, operation_id: str, wait: Wait = 0
) -> Response:
    """State, stage, progress, attempt, problem and, once it has succeeded, the result."""
    await wait_until_ended(request, platform.db, operation_id, seconds=wait)
    db = platform.db
    return await reads.answer(lambda: _described(db, [operations.get_living_operation(db, operation_id)])[0])


@router.get(
    "/{operation_id}/events",
    summary="Follow the events of an operation",
    response_class=Response,
    responses=event_responses() | problem_responses(errors.OperationNotFound, errors.Gone),
)
async def follow_operation(
    request: Request, platform: CurrentPlatform, operation_id: str, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events after `Last-Event-ID`, each a merge patch of the polled operation; `end` is the last one."""
    await run_in_threadpool(operations.get_living_operation, platform.db, operation_id)
    return await event_stream(request, platform.db, operation_id, last_event_id=last_event_id)


@router.post(
    "/{operation_id}/cancel",
    status_code=202,
    response_model=AcceptedOperation,
    summary="Cancel an operation",
    responses=problem_responses(
        errors.OperationNotFound,
        errors.Gone,
        errors.OperationNotCancellable,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
    ),
)
def cancel_operation(
    platform: CurrentPlatform, idempotency: Idempotency, operation_id: str
) -> AcceptedOperation | Response:
    """Takes at most 5 seconds, at any moment. It makes nothing."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        row = operations.cancel_operation(platform.db, operation_id, on_commit=idempotency.keep(accepted_operation))
    return accepted_operation(row)


@router.post(
    "/{operation_id}/retry",
    status_code=202,
    response_model=AcceptedOperation,
    summary="Queue a failed operation again",
    responses=problem_responses(
        errors.OperationNotFound,
        errors.Gone,
        errors.OperationNotRetryable,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
    ),
)
def retry_operation(
    platform: CurrentPlatform, idempotency: Idempotency, operation_id: str
) -> AcceptedOperation | Response:
    """It starts from its beginning. What a request sent for it is kept for `DARKROOM_KEEP_OPERATION_DAYS`."""
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        row = operations.retry_operation(platform, operation_id, on_commit=idempotency.keep(accepted_operation))
    return accepted_operation(row)


def _described(db: Database, rows: list[OperationRow]) -> list[Operation]:
    slugs = slugs_of(db, {row.project_id for row in rows if row.project_id})
    return [operation_of(row, slugs) for row in rows]
