"""The JSON that goes in and out. `examples` are what the OpenAPI page shows."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-21T09:30:00.123456Z"])]
Links = Annotated[dict[str, str], Field(description="Where to go on from here; relative to this service.")]


class Problem(BaseModel):
    """RFC 9457, with the facts of the case beside the standard members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/job-not-ready"], description="The page that explains this kind of problem.")
    slug: str = Field(examples=["job-not-ready"], description="Stable name of this kind of problem.")
    title: str = Field(examples=["The job is not ready"])
    detail: str = Field(examples=["The job is preparing."], description="What happened this time.")
    status: int = Field(examples=[409])
    instance: str = Field(examples=["/train-async/job_01kaj8"], description="The path that was asked for.")
    request_id: str = Field(examples=["req_5f0c"], description="Also in the header X-Request-ID and in the log.")
    errors: list["FieldError"] | None = Field(None, description="Every field that is not valid.")


class FieldError(BaseModel):
    field: str = Field(examples=["params.epochs"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class PageOf(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(None, description="Send it as `cursor` for the next page; null at the end.")


def stored_problem() -> Any:
    """The field of a problem that a job or a run keeps: the same object an answer would have, without the request."""
    return Field(
        None,
        description="Why it was rejected or failed.",
        examples=[{"type": "/problems/format-unknown", "slug": "format-unknown", "title": "...", "detail": "..."}],
    )
