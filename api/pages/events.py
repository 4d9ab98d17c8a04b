"""The stream of events that a page follows: one a page, whatever is on it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dependencies import CurrentPlatform
from api.http.page_stream import page_stream

router = APIRouter(prefix="/ui", include_in_schema=False)


@router.get("/events")
async def follow(
    request: Request,
    platform: CurrentPlatform,
    topics: Annotated[str, Query(max_length=1000)],
    last: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """Raises JobNotFound, RunNotFound, OperationNotFound, RequestInvalid."""
    return await page_stream(request, platform.db, topics, last=last)
