"""The JSON bodies of requests and answers. Their examples and descriptions appear in the OpenAPI document."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-21T09:30:00.123456Z"])]
Links = Annotated[dict[str, str], Field(description="Related paths, relative to this service.")]


class Problem(BaseModel):
    """An RFC 9457 problem. Besides the standard members it has the facts of the case, such as an id or a limit."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/job-not-ready"], description="The page that explains this type of problem.")
    slug: str = Field(examples=["job-not-ready"], description="Stable name of this type of problem.")
    title: str = Field(examples=["The job is not ready"])
    detail: str = Field(examples=["The job is preparing."], description="What happened in this case.")
    status: int = Field(examples=[409])
    instance: str = Field(examples=["/train-async/job_01kaj8"], description="The path of the request.")
    request_id: str = Field(examples=["req_5f0c"], description="Also in the header `X-Request-ID` and in the log.")
    errors: list["FieldError"] | None = Field(None, description="The invalid fields.")


class FieldError(BaseModel):
    """An invalid field of a request."""

    field: str = Field(examples=["params.epochs"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


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
