"""Predictions under the API's own address: passed on to serving, in both directions as they arrive."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import httpx
import structlog
from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from core.domain.errors import ServingUnavailable
from http_common.disconnects import while_connected
from http_common.openapi import problem_responses
from http_common.prediction_requests import IMAGE_BODY, JSON_BODY, InQuery, image_responses, predict_responses
from http_common.prediction_schemas import Answer, ModelsInMemory

router = APIRouter(tags=["predictions"])

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 120.0  # of a model that is loaded first, or of the last in a full queue
_SENT = ("content-type", "content-length", "accept", "authorization")  # of the request
_RECEIVED = ("content-type", "content-length", "retry-after", "cache-control", "location")  # of the answer
_OWN = "darkroom-"  # headers that name the model of a drawn image

log = structlog.get_logger(__name__)


def open_clients(urls: Sequence[str], *, connections: int) -> list[httpx.AsyncClient]:
    """One for each serving, for one event loop. Opens no connection.

    `connections`: to each, as many as clients may have to the API: with fewer, slow clients would keep all others out.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=4.0)
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return [httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False) for url in urls]


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
async def predict_image(request: Request, query: InQuery) -> Response:  # noqa: ARG001 - validated here, read by serving
    """The body is the image, or a form with the field `file`."""
    return await _passed_on(request)


@router.get(
    "/serving/models",
    summary="List the models in memory",
    response_model=ModelsInMemory,
    responses=problem_responses(ServingUnavailable),
)
async def list_served_models(request: Request) -> Response:
    """What serving has loaded, for which names, and how fast it answers; of several, that of one."""
    return await _passed_on(request, path="/models")


async def _passed_on(request: Request, *, path: str = "") -> Response:
    """To the next one; where it does not accept the connection, nothing was sent yet, and another one is tried."""
    clients: Sequence[httpx.AsyncClient] = request.app.state.serving_clients
    clients = random.sample(clients, len(clients))
    failure: httpx.TransportError | None = None
    for client in clients:
        try:
            return await _answer_of(client, request, path or request.url.path)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
        except httpx.TransportError as error:
            failure = error
            break
    log.warning("serving.unreachable", error=repr(failure))
    detail = "Predictions do not answer: `python -m serving` is not running, or DARKROOM_SERVING_URL is another."
    raise ServingUnavailable(detail) from failure


async def _answer_of(client: httpx.AsyncClient, request: Request, path: str) -> Response:
    headers = {name: value for name in _SENT if (value := request.headers.get(name)) is not None}
    headers["x-request-id"] = request.state.request_id
    token = request.app.state.platform.settings.api_token.get_secret_value()
    if token:  # which the request has given, or its session
        headers["authorization"] = f"Bearer {token}"
    url = httpx.URL(path=path, query=request.scope["query_string"])
    complete = asyncio.Event()
    content = None if request.method == "GET" else _body(request, complete)
    sent = client.build_request(request.method, url, headers=headers, content=content)
    # A client that goes ends the request to serving, which then computes nothing for it.
    answer = await while_connected(request, client.send(sent, stream=True), body_read=complete)
    passed = {name: value for name, value in answer.headers.items() if name in _RECEIVED or name.startswith(_OWN)}
    return StreamingResponse(
        answer.aiter_raw(), status_code=answer.status_code, headers=passed, background=BackgroundTask(answer.aclose)
    )


async def _body(request: Request, complete: asyncio.Event) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
    complete.set()
