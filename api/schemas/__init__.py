"""The JSON bodies of requests and answers. Their examples and descriptions appear in the OpenAPI document."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field

Item = TypeVar("Item")

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # an example
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-21T09:30:00.123456Z"])]
Links = Annotated[dict[str, str], Field(description="Related paths, relative to this service.")]


class PageOf(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(
        None, description="Send it as `cursor` to get the next page. Null on the last page."
    )


def stored_problem() -> Any:
    """The field of a problem that a row keeps: as in an error's answer, without the request's members."""
    return Field(
        None,
        description="The problem that it was rejected for or failed with.",
        examples=[{"type": "/problems/format-unknown", "slug": "format-unknown", "title": "...", "detail": "..."}],
    )
