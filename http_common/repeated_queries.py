"""Requests for predictions whose query was accepted before go past the router, which would validate it once more.

Of what a request costs in serving outside the model that is the larger half: 0.25 of 0.45 ms of processor time. In the
API the router has all other routes to compare first.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.domain.errors import DarkroomError
from http_common.prediction_requests import ImageQuery
from http_common.problems import failure_response

MAX_QUERIES = 1000
MAX_QUERY_BYTES = 500

Endpoint = Callable[[Request, ImageQuery], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AcceptedQueries:
    """By their bytes, the queries of /predict/image, with the route that accepted them."""

    known: dict[bytes, tuple[ImageQuery, Any]] = field(default_factory=dict)

    def remember(self, scope: Scope, query: ImageQuery) -> None:
        text: bytes = scope["query_string"]
        if len(text) > MAX_QUERY_BYTES:
            return
        if len(self.known) >= MAX_QUERIES:
            del self.known[next(iter(self.known))]  # the one accepted longest ago
        self.known[text] = query, scope["route"]


class RepeatedQueries:
    """Plain ASGI, before the router. `endpoint`: what the route calls with a valid query."""

    def __init__(self, app: ASGIApp, *, path: str, endpoint: Endpoint, queries: AcceptedQueries) -> None:
        self._app, self._path, self._endpoint, self._queries = app, path, endpoint, queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_prediction = scope["type"] == "http" and scope["path"] == self._path and scope["method"] == "POST"
        known = self._queries.known.get(scope["query_string"]) if is_prediction else None
        if known is None:
            await self._app(scope, receive, send)
            return
        query, scope["route"] = known  # the route is for the metrics
        request = Request(scope, receive, send)
        try:
            response = await self._endpoint(request, query)
        except DarkroomError as error:
            response = failure_response(error, request)
        await response(scope, receive, send)
