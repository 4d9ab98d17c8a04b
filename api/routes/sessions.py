"""The sessions of browsers: list and revoke them. The page /ui/login opens them."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit
from api.http.reading import CurrentReads
from api.schemas import PageOf
from api.schemas.sessions import Session, session_of
from core.domain import errors
from core.services.sessions import commands as sessions
from http_common.openapi import problem_responses

router = APIRouter(prefix="/sessions", tags=["service"])


@router.get(
    "",
    summary="List the sessions of browsers",
    response_model=PageOf[Session],
    responses=problem_responses(errors.CursorInvalid),
)
async def list_sessions(
    request: Request, platform: CurrentPlatform, reads: CurrentReads, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Newest first, those that are valid. Without a token in the settings there are none, and none is needed."""
    current = getattr(request.state, "session_id", None)

    def read() -> PageOf[Session]:
        page = sessions.list_sessions(platform.db, platform.settings, cursor=cursor, limit=limit)
        return PageOf(items=[session_of(row, current=current) for row in page.items], next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.delete(
    "/{session_id}",
    status_code=204,
    summary="Revoke a session",
    responses=problem_responses(errors.SessionNotFound),
)
async def revoke_session(request: Request, platform: CurrentPlatform, session_id: str) -> None:
    """Its browser is asked for the token again, within 3 seconds where there are several processes of the API."""
    await run_in_threadpool(sessions.revoke_session, platform.db, session_id)
    request.app.state.sessions.forget()


@router.delete("", status_code=204, summary="Revoke all sessions", responses=problem_responses())
async def revoke_all_sessions(request: Request, platform: CurrentPlatform) -> None:
    """Every browser is asked for the token again, that of this request too."""
    await run_in_threadpool(sessions.revoke_all_sessions, platform.db)
    request.app.state.sessions.forget()
