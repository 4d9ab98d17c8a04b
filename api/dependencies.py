"""What an endpoint asks for: the platform, a page, how long to wait."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from core.domain.limits import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_SECONDS
from core.services.context import Platform


def platform_of(request: Request) -> Platform:
    return cast(Platform, request.app.state.platform)


ThePlatform = Annotated[Platform, Depends(platform_of)]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items on a page.")]
Wait = Annotated[
    float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Answer when it has ended, or after so many seconds.")
]
AsLink = Annotated[
    bool, Query(alias="link", description="Redirect to a signed link, where the store gives one; else the file.")
]
PAGE = DEFAULT_PAGE
