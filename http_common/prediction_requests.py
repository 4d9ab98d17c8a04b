"""What requests for predictions may say, and how they are documented: the same in the API and in serving."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from core.domain import errors
from core.domain.errors import DarkroomError
from http_common.openapi import problem_responses
from http_common.prediction_schemas import PredictionOptions, PredictRequest

FAILURES: tuple[type[DarkroomError], ...] = (
    *(errors.JobNotFound, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone, errors.VersionNotFound),
    *(errors.AliasNotFound, errors.AliasElsewhere, errors.ModelNotServable, errors.ModelLoading, errors.QueueFull),
    *(errors.PredictionTimedOut, errors.UploadTooLarge, errors.RequestTimeout),
)
_BYTES = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "required": ["file"], "properties": {"file": _BYTES}}
JSON_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{PredictRequest.__name__}"}}},
    }
}
IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _BYTES},
            "application/octet-stream": {"schema": _BYTES},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}


class ImageQuery(PredictionOptions):
    """The query of /predict/image."""

    model: str = Field(max_length=200, description="`raccoons`, `raccoons/v3`, `raccoons@production`, a job_id.")
    receipt: bool = Field(False, description="Add what makes the same answer again.")
    annotated: bool = Field(
        False, description="Answer the image with what was predicted drawn into it, as JPEG, in place of JSON."
    )


InQuery = Annotated[ImageQuery, Query()]


def predict_responses(*more: type[DarkroomError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of /predict."""
    return problem_responses(*FAILURES, errors.ImageUrlRefused, *more)


def image_responses(*more: type[DarkroomError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of /predict/image."""
    drawn = {"description": "The answer; with `annotated=true` a JPEG.", "content": {"image/jpeg": {"schema": _BYTES}}}
    problems = problem_responses(*FAILURES, errors.ImageInvalid, errors.MediaTypeUnsupported, *more)
    return {200: drawn, **problems}
