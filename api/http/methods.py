"""HEAD wherever there is GET, OPTIONS everywhere, and 405 with all methods of the path."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import problem_response
from core.domain.errors import MethodNotAllowed


class MethodsMiddleware:
    """Plain ASGI, around the router of `app.state`."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self._methods_of(scope["path"]) if scope["type"] == "http" else frozenset()
        allowed = {"allow": ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))}
        if not methods or (scope["method"] in methods and scope["method"] != "OPTIONS"):
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "OPTIONS" in methods:
            await self._app(scope, receive, _with_headers(send, allowed))
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=allowed)(scope, receive, send)
        elif scope["method"] == "HEAD" and "GET" in methods:
            await _answer_head(self._app, scope, receive, send)
        else:
            problem = MethodNotAllowed(f"{scope['path'][:200]} does not accept {scope['method']}.")
            await problem_response(problem, Request(scope), allowed)(scope, receive, send)

    def _methods_of(self, path: str) -> frozenset[str]:
        return frozenset(method for regex, methods in self._table if regex.match(path) for method in methods)

    @cached_property
    def _table(self) -> list[tuple[re.Pattern[str], Iterable[str]]]:
        contexts: list[Any] = [*iter_route_contexts(self._routes)]
        return [
            (each.path_regex, ("GET", "HEAD") if isinstance(each.original_route, Mount) else each.methods)
            for each in contexts
        ]


def _with_headers(send: Send, more: dict[str, str]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(more)
        await send(message)

    return send_with_headers


async def _answer_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to GET without its body. A stream ends after its head."""
    started = False

    async def send_head(message: Message) -> None:
        nonlocal started
        if started:
            return
        if message["type"] == "http.response.start":
            await send(message)
            return
        started = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive_until_started() -> Message:
        return {"type": "http.disconnect"} if started else await receive()

    get = {**scope, "method": "GET"}
    try:
        await app(get, receive_until_started, send_head)
    finally:
        scope["route"] = get.get("route")  # for the metrics
