"""Predictions under the API's own address: passed on to serving, in both directions as they arrive."""

from collections.abc import AsyncIterator

import httpx
import structlog
from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from core.domain.errors import ServingUnavailable
from http_common.prediction_requests import IMAGE_BODY, JSON_BODY, InQuery, image_responses, predict_responses
from http_common.prediction_schemas import Answer

router = APIRouter(tags=["predictions"])

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 120.0  # of a model that is loaded first, or of the last in a full queue
CONNECTIONS = 256
_SENT = ("content-type", "content-length", "accept", "authorization")  # of the request
_RECEIVED = ("content-type", "content-length", "retry-after", "cache-control")  # of the answer

log = structlog.get_logger(__name__)


def open_client(serving_url: str) -> httpx.AsyncClient:
    """For one event loop. Opens no connection."""
    return httpx.AsyncClient(
        base_url=serving_url,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=4.0),
        trust_env=False,
    )


@router.post(
    "/predict",
    summary="Predict images",
    response_model=Answer,
    responses=predict_responses(ServingUnavailable),
    openapi_extra=JSON_BODY,
)
async def predict(request: Request) -> Response:
    """Up to 32 images, each as base64 or as a URL. One that cannot be predicted has an `error`, the others answers."""
    return await _passed_on(request)


@router.post(
    "/predict/image",
    summary="Predict an image",
    response_model=Answer,
    responses=image_responses(ServingUnavailable),
    openapi_extra=IMAGE_BODY,
)
async def predict_image(request: Request, query: InQuery) -> Response:  # noqa: ARG001 - serving reads it
    """The body is the image, or a form with the field `file`."""
    return await _passed_on(request)


async def _passed_on(request: Request) -> Response:
    client: httpx.AsyncClient = request.app.state.serving_client
    headers = {name: value for name in _SENT if (value := request.headers.get(name)) is not None}
    headers["x-request-id"] = request.state.request_id
    url = httpx.URL(path=request.url.path, query=request.scope["query_string"])
    sent = client.build_request("POST", url, headers=headers, content=_body(request))
    try:
        answer = await client.send(sent, stream=True)
    except httpx.TransportError as error:
        log.warning("serving.unreachable", error=repr(error))
        detail = "Predictions do not answer: `python -m serving` is not running, or DARKROOM_SERVING_URL is another."
        raise ServingUnavailable(detail) from error
    received = {name: value for name in _RECEIVED if (value := answer.headers.get(name)) is not None}
    return StreamingResponse(
        answer.aiter_raw(), status_code=answer.status_code, headers=received, background=BackgroundTask(answer.aclose)
    )


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
