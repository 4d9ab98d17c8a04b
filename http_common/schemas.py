"""The JSON of a problem."""

from pydantic import BaseModel, ConfigDict, Field


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
