"""Predictions: JSON with several images, or the bytes of one."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from core.domain import errors
from core.domain.errors import RequestInvalid, UploadTooLarge
from http_common.openapi import problem_responses
from http_common.remote_images import fetch_image
from pipeline.predictor.predictor import PredictionFailed
from pipeline.predictor.tiles import MAX_OVERLAP, MAX_TILE, MIN_TILE, OVERLAP
from serving.annotate import annotated as draw
from serving.answers import answer
from serving.pool import Options
from serving.schemas import OVERLAP_TEXT, TILE_TEXT, Answer, ImageSource, PredictRequest
from serving.state import CurrentServing, Serving

router = APIRouter(tags=["predictions"])

FAILURES = (
    *(errors.RequestInvalid, errors.JobNotFound, errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone),
    *(errors.VersionNotFound, errors.AliasNotFound, errors.AliasElsewhere, errors.ModelNotServable),
    *(errors.ModelLoading, errors.QueueFull, errors.UploadTooLarge, errors.ImageUrlRefused),
)
RAW_TYPES = ("application/octet-stream", "image/")
Model = Annotated[str, Query(max_length=200, description="`raccoons`, `raccoons/v3`, `raccoons@production`, a job_id.")]
Confidence = Annotated[
    float | None, Query(ge=0, le=1, description="By default the thresholds of the version, of each class.")
]
Iou = Annotated[float | None, Query(ge=0, le=1, description="Above it the lower of two boxes of a class goes.")]
Top = Annotated[int, Query(ge=1, le=1000, description="How many classes of a classifier.")]
Tile = Annotated[int | None, Query(ge=MIN_TILE, le=MAX_TILE, description=TILE_TEXT)]
Overlap = Annotated[float, Query(ge=0, le=MAX_OVERLAP, description=OVERLAP_TEXT)]


@router.post("/predict", summary="Predict images", response_model=Answer, responses=problem_responses(*FAILURES))
async def predict(serving: CurrentServing, body: PredictRequest) -> Response:
    """Up to 32 images, each as base64 or as a URL. One that cannot be predicted has an `error`, the others answers."""
    images = [await _bytes_of(serving, index, source) for index, source in enumerate(body.images)]
    options = Options(body.confidence, body.iou, body.top, body.tile, body.overlap)
    found, _ = await answer(serving, body.model, images, options, receipt=body.receipt)
    return Response(found.model_dump_json(), media_type="application/json")


@router.post(
    "/predict/image",
    summary="Predict an image",
    response_model=Answer,
    responses=problem_responses(*FAILURES, errors.ImageInvalid),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                },
            },
        }
    },
)
async def predict_image(
    request: Request,
    serving: CurrentServing,
    model: Model,
    confidence: Confidence = None,
    iou: Iou = None,
    top: Top = 5,
    tile: Tile = None,
    overlap: Overlap = OVERLAP,
    receipt: bool = False,
    annotated: bool = False,
) -> Response:
    """The body is the image, or a form with the field `file`. `annotated=true` answers the image with what was
    predicted drawn into it, as JPEG."""
    content = await _image_in(request, serving)
    options = Options(confidence, iou, top, tile, overlap)
    found, results = await answer(serving, model, [content], options, receipt=receipt)
    result = results[0].result
    if isinstance(result, PredictionFailed):
        raise errors.ImageInvalid(result.reason)
    if not annotated:
        return Response(found.model_dump_json(), media_type="application/json")
    return Response(await serving.pool.run(draw, content, result), media_type="image/jpeg")


async def _bytes_of(serving: Serving, index: int, source: ImageSource) -> bytes:
    settings = serving.platform.settings
    if (source.base64 is None) == (source.url is None):
        raise _invalid(index, "Send either base64 or url.")
    if source.url is not None:
        limits: dict[str, Any] = {"max_bytes": settings.image_max_bytes, "seconds": settings.image_seconds}
        return await fetch_image(source.url, hosts=serving.image_hosts, **limits)
    text = str(source.base64)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(index, "It is not base64.") from error


def _invalid(index: int, message: str) -> RequestInvalid:
    fields = [{"field": f"images.{index}", "message": message}]
    return RequestInvalid(f"images.{index}: {message}", errors=fields)


async def _image_in(request: Request, serving: Serving) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = serving.platform.settings.image_max_bytes
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=1, max_part_size=limit) as form:
            part = form.get("file")
            if part is None or isinstance(part, str):
                raise RequestInvalid("The form has no file field `file`.")
            return await part.read()
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise UploadTooLarge(f"The image has more than {limit} bytes.", limit_bytes=limit)
    if not content:
        raise RequestInvalid("The body is empty: send an image.")
    return bytes(content)
