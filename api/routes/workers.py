"""The workers that are alive."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit
from api.http.reading import CurrentReads
from api.schemas import PageOf
from api.schemas.workers import WorkerItem, worker_item
from core.domain import errors
from core.services.work.locks import list_workers
from http_common.openapi import problem_responses

router = APIRouter(prefix="/workers", tags=["service"])


@router.get(
    "",
    summary="List the workers",
    response_model=PageOf[WorkerItem],
    responses=problem_responses(errors.CursorInvalid),
)
async def get_workers(
    platform: CurrentPlatform, reads: CurrentReads, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Those that were alive in the last minute, by name, with what they compute on: processor, GPUs, engines and the
    precisions that these can run."""

    def read() -> PageOf[WorkerItem]:
        page = list_workers(platform.db, cursor=cursor, limit=limit)
        return PageOf(items=list(map(worker_item, page.items)), next_cursor=page.next_cursor)

    return await reads.answer(read)
