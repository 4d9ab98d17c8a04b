"""Parameters that several endpoints share: the platform, a page of a list, the time to wait."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from core.domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_SECONDS
from core.services.context import Platform


async def platform_of(request: Request) -> Platform:
    """A dependency that only looks something up is `async`: for a plain function the framework takes a thread."""
    return cast(Platform, request.app.state.platform)


CurrentPlatform = Annotated[Platform, Depends(platform_of)]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Number of items on a page.")]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Wait up to this many seconds for the job, run or operation to end before answering.",
    ),
]
AsLink = Annotated[
    bool,
    Query(alias="link", description="Redirect to a signed link where the store supports it; otherwise send the file."),
]
PAGE = DEFAULT_PAGE
