"""HEAD wherever there is GET, OPTIONS everywhere, and which methods a path takes."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PathMethods:
    """The methods that `routes` take, by path."""

    def __init__(self, routes: list[BaseRoute]) -> None:
        self._routes = routes

    def of(self, path: str) -> frozenset[str]:
        """Those that a route was made for; empty for a path that no route has."""
        return frozenset(method for regex, methods in self._table if regex.match(path) for method in methods)

    def allow(self, path: str) -> str:
        """The value of `Allow`."""
        methods = self.of(path)
        return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))

    @cached_property
    def _table(self) -> list[tuple[re.Pattern[str], Iterable[str]]]:
        contexts: list[Any] = [*iter_route_contexts(self._routes)]
        return [
            (each.path_regex, ("GET", "HEAD") if isinstance(each.original_route, Mount) else each.methods)
            for each in contexts
        ]


class MethodsMiddleware:
    """Plain ASGI. Every request with another method than HEAD and OPTIONS is passed on as it is."""

    def __init__(self, app: ASGIApp, *, methods: PathMethods) -> None:
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        methods = self._methods.of(scope["path"])
        allow = {"allow": self._methods.allow(scope["path"])}
        if scope["method"] == "HEAD" and "GET" in methods and "HEAD" not in methods:
            await _answer_head(self._app, scope, receive, send)
        elif scope["method"] == "OPTIONS" and "OPTIONS" in methods:
            await self._app(scope, receive, _with_headers(send, allow))
        elif scope["method"] == "OPTIONS" and methods:
            await Response(status_code=204, headers=allow)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


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
        if "route" in get:
            scope["route"] = get["route"]  # for the metrics
