"""Errors in the form of the Open Inference Protocol, {"error": text}, for every path below /v2."""

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from http_common.problems import MEDIA_TYPE

PREFIX = "/v2"


class ProtocolErrors:
    """Plain ASGI. A problem becomes the protocol's error, with the same status and headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def send_error(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_error(send, start, bytes(body))

        await self._app(scope, receive, send_error)


def _is_problem(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE


async def _send_error(send: Send, start: Message, body: bytes) -> None:
    if body:  # none in the answer to HEAD
        problem = json.loads(body)
        body = json.dumps({"error": f"{problem['slug']}: {problem['detail']}"}).encode()
    headers = MutableHeaders(scope=start)
    headers["content-type"], headers["content-length"] = "application/json", str(len(body))
    await send(start)
    await send({"type": "http.response.body", "body": body})
