"""Predictions: JSON with several images, or the bytes of one."""

import base64
import binascii
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.domain import errors
from core.domain.errors import RequestInvalid, UploadTooLarge
from http_common.prediction_requests import IMAGE_BODY, InQuery, image_responses, predict_responses
from http_common.prediction_schemas import Answer, ImageSource, PredictRequest
from http_common.remote_images import fetch_image
from pipeline.predictor.predictor import PredictionFailed
from serving.annotate import annotated as draw
from serving.answers import answer
from serving.pool import Options
from serving.state import CurrentServing, Serving

router = APIRouter(tags=["predictions"])


@router.post("/predict", summary="Predict images", response_model=Answer, responses=predict_responses())
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
    responses=image_responses(),
    openapi_extra=IMAGE_BODY,
)
async def predict_image(request: Request, serving: CurrentServing, query: InQuery) -> Response:
    """The body is the image, or a form with the field `file`. `annotated=true` answers the image with what was
    predicted drawn into it, as JPEG."""
    content = await _image_in(request, serving)
    options = Options(query.confidence, query.iou, query.top, query.tile, query.overlap)
    found, results = await answer(serving, query.model, [content], options, receipt=query.receipt)
    result = results[0].result
    if isinstance(result, PredictionFailed):
        raise errors.ImageInvalid(result.reason)
    if not query.annotated:
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
