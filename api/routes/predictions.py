"""Predictions under the API's own address: passed on to serving, in both directions as they arrive."""

import random
from collections.abc import Sequence

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.upstream import Connection, ConnectionFailed, NotConnected, Upstream
from core.domain.errors import ServingUnavailable
from http_common.disconnects import while_connected
from http_common.openapi import problem_responses
from http_common.prediction_requests import (
    IMAGE_BODY,
    JSON_BODY,
    ImageQuery,
    InQuery,
    image_responses,
    predict_responses,
)
from http_common.prediction_schemas import Answer, ModelsInMemory

router = APIRouter(tags=["predictions"])

IMAGE_PATH = "/predict/image"
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 120.0  # of a model that is loaded first, or of the last in a full queue
_SENT = ("content-type", "content-length", "accept", "authorization")  # of the request
_RECEIVED = (b"content-type", b"content-length", b"retry-after", b"cache-control", b"location")  # of the answer
_OWN = b"darkroom-"  # headers that name the model of a drawn image

log = structlog.get_logger(__name__)


def upstreams_of(urls: Sequence[str]) -> list[Upstream]:
    """One for each serving, for one event loop. Opens no connection."""
    return [Upstream(url, connect_seconds=CONNECT_SECONDS, answer_seconds=ANSWER_SECONDS) for url in urls]


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
    IMAGE_PATH,
    summary="Predict an image",
    response_model=Answer,
    responses=image_responses(ServingUnavailable),
    openapi_extra=IMAGE_BODY,
)
async def predict_image(request: Request, query: InQuery) -> Response:
    """The body is the image, or a form with the field `file`."""
    request.app.state.image_queries.remember(request.scope, query)
    return await pass_on_image(request, query)


async def pass_on_image(request: Request, _query: ImageQuery) -> Response:
    """With a query that is valid. Raises ServingUnavailable, ClientDisconnect."""
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


class _PassedOn(Response):
    """The answer of serving, as it arrives."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(status_code=connection.status)
        self._connection = connection
        self.raw_headers = [
            (name, value) for name, value in connection.headers if name in _RECEIVED or name.startswith(_OWN)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI application
        """Raises ConnectionFailed: the answer has begun, and the client notices that its connection is closed."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            more = True
            while more:
                content, more = await self._connection.read()
                await send({"type": "http.response.body", "body": content, "more_body": more})
        finally:
            self._connection.close()


async def _passed_on(request: Request, *, path: str = "") -> Response:
    """To the next one; where it does not accept the connection, nothing was sent yet, and another one is tried."""
    upstreams: Sequence[Upstream] = request.app.state.upstreams
    failure: Exception | None = None
    for upstream in random.sample(upstreams, len(upstreams)):
        try:
            return await _answer_of(upstream, request, path or request.scope["path"])
        except NotConnected as error:
            failure = error
        except ConnectionFailed as error:
            failure = error
            break
    log.warning("serving.unreachable", error=repr(failure))
    detail = "Predictions do not answer: `python -m serving` is not running, or DARKROOM_SERVING_URL is another."
    raise ServingUnavailable(detail) from failure


async def _answer_of(upstream: Upstream, request: Request, path: str) -> Response:
    headers = [(name, value) for name in _SENT if (value := request.headers.get(name)) is not None]
    headers.append(("x-request-id", request.state.request_id))
    token = request.app.state.platform.settings.api_token.get_secret_value()
    if token:  # which the request has given, or its session
        headers = [each for each in headers if each[0] != "authorization"]
        headers.append(("authorization", f"Bearer {token}"))
    query = request.scope["query_string"].decode("latin-1")
    target = f"{path}?{query}" if query else path
    reads = request.method == "GET"
    if reads:
        await request.body()  # it is not passed on: from here on only the end of the connection can follow
        headers = [each for each in headers if each[0] not in ("content-length", "content-type")]
    connection = await upstream.send(request.method, target, headers, None if reads else request.stream())
    try:
        # A client that goes ends the request to serving, which then computes nothing for it.
        await while_connected(request, connection.head())
    except BaseException:
        connection.close()
        raise
    return _PassedOn(connection)
