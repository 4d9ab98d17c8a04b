"""Large answers in pieces: their bytes count as those of requests do, until their clients have taken them."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.intake import LARGE_BYTES, Intake


class LargeAnswers:
    """Plain ASGI. What a client does not read lies in memory here, and no longer than `Intake.seconds_for` allows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_pieces(message: Message) -> None:
            if len(message.get("body", b"")) > LARGE_BYTES:
                await _sent(message, send, scope["app"].state.serving.intake)
            else:
                await send(message)

        await self._app(scope, receive, send_in_pieces)


async def _sent(message: Message, send: Send, intake: Intake) -> None:
    """Raises ClientDisconnect where the client reads too slowly; then the server closes the connection."""
    body = memoryview(message["body"])
    with intake.holding(len(body)):
        try:
            async with asyncio.timeout(intake.seconds_for(len(body))):
                for start in range(0, len(body), LARGE_BYTES):
                    piece = bytes(body[start : start + LARGE_BYTES])
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({**message, "body": b""})
        except TimeoutError as error:
            raise ClientDisconnect from error
