"""Predictions: JSON with several images, or the bytes of one."""

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from core.domain.errors import ImageInvalid, ModelNotServable, RequestInvalid
from http_common.prediction_requests import (
    IMAGE_BODY,
    JSON_BODY,
    ImageQuery,
    InQuery,
    image_responses,
    predict_responses,
)
from http_common.prediction_schemas import Answer, AnsweringModel, ImageAnswer, PredictRequest
from http_common.problems import invalid_body, invalid_fields
from pipeline.predictor.predictor import NotComputed, Prediction, PredictionFailed
from serving.annotate import annotated
from serving.answers import answer
from serving.in_time import in_time
from serving.intake import FORM_BYTES, Room, beside_loop, read_body, read_image
from serving.pool import Answered, Options
from serving.sources import read_images
from serving.state import CurrentServing, Serving

router = APIRouter(tags=["predictions"])

IMAGE_PATH = "/predict/image"


@router.post(
    "/predict",
    summary="Predict images",
    response_model=Answer,
    responses=predict_responses(),
    openapi_extra=JSON_BODY,
)
async def predict(request: Request, serving: CurrentServing) -> Response:
    """Up to 32 images, each as base64 or as a URL. One that cannot be predicted has an `error`, the others answers."""
    serving.pool.raise_if_full()
    limit = serving.intake.request_bytes
    with serving.intake.room(limit) as body_room, serving.intake.room(limit) as image_room:
        wanted = await _request_in(request, body_room)
        image_room.add(body_room.bytes)  # its images once more, decoded
        found = await in_time(request, serving, _answer_to(serving, wanted, image_room))
    return Response(found.model_dump_json(), media_type="application/json")


@router.post(
    IMAGE_PATH,
    summary="Predict an image",
    response_model=Answer,
    responses=image_responses(),
    openapi_extra=IMAGE_BODY,
)
async def predict_image(request: Request, query: InQuery) -> Response:
    """The body is the image, or a form with the field `file`. `annotated=true` answers the image with what was
    predicted drawn into it, as JPEG; headers name the model."""
    request.app.state.image_queries.remember(request.scope, query)
    return await answer_image(request, query)


async def answer_image(request: Request, query: ImageQuery) -> Response:
    """To a query that is valid. Raises DarkroomError, ClientDisconnect."""
    serving: Serving = request.app.state.serving
    if query.annotated and query.receipt:
        message = "A receipt is part of the JSON answer: ask for it without annotated."
        raise invalid_fields([{"field": "receipt", "message": message}])
    serving.pool.raise_if_full()
    options = Options(query.confidence, query.iou, query.top, query.tile, query.overlap)
    with serving.intake.room(serving.intake.image_bytes + FORM_BYTES) as room:
        content = await read_image(request, room, max_bytes=serving.intake.image_bytes)
        if query.annotated:
            return await in_time(request, serving, _drawn(serving, query.model, content, options))
        work = answer(serving, query.model, [content], options, receipt=query.receipt)
        found, results = await in_time(request, serving, work)
        _require_prediction(found, results[0])
        return Response(found.model_dump_json(), media_type="application/json")


async def _drawn(serving: Serving, model: str, content: bytes, options: Options) -> Response:
    async with serving.drawings.turn(content):
        found, results = await answer(serving, model, [content], options, receipt=False)
        result = _require_prediction(found, results[0])
        drawn = await serving.drawings.run(annotated, content, result)
    return Response(drawn, media_type="image/jpeg", headers=_headers_of(found.model))


def _require_prediction(found: Answer, answered: Answered) -> Prediction:
    """Of the only image. Raises ModelNotServable, ImageInvalid."""
    result = answered.result
    if isinstance(result, NotComputed):
        raise ModelNotServable(result.reason, name=found.model.name)
    if isinstance(result, PredictionFailed):
        raise ImageInvalid(result.reason)
    return result


async def _request_in(request: Request, room: Room) -> PredictRequest:
    body = await read_body(request, room)
    if "json" not in request.headers.get("content-type", "").lower():
        fields = [{"field": "body", "message": "Send JSON with `Content-Type: application/json`."}]
        raise RequestInvalid(fields[0]["message"], errors=fields)
    try:
        return await beside_loop(len(body), PredictRequest.model_validate_json, body)
    except ValidationError as error:
        raise invalid_body(error, PredictRequest) from error


async def _answer_to(serving: Serving, wanted: PredictRequest, room: Room) -> Answer:
    options = Options(wanted.confidence, wanted.iou, wanted.top, wanted.tile, wanted.overlap)
    images = await read_images(serving, wanted.images, room)
    readable = [each for each in images if isinstance(each, bytes)]
    found, _ = await answer(serving, wanted.model, readable, options, receipt=wanted.receipt)
    answers = iter(found.images)
    found.images = [
        ImageAnswer(error=each.reason) if isinstance(each, PredictionFailed) else next(answers) for each in images
    ]
    return found


def _headers_of(model: AnsweringModel) -> dict[str, str]:
    return {
        "darkroom-model": model.name,
        "darkroom-version-id": model.version_id,
        "darkroom-export-id": model.export_id,
        "darkroom-sha256": model.sha256,
        "darkroom-engine": model.engine,
        "darkroom-precision": model.precision,
    }
