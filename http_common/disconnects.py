"""Work for a request that ends with its client, or after a time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def while_connected(
    request: Request,
    work: Coroutine[Any, Any, T],
    *,
    seconds: float | None = None,
    body_read: asyncio.Event | None = None,
) -> T:
    """`work` is cancelled when the client goes, and after `seconds`. The body of the request must have been read, or
    `work` reads it and sets `body_read`.

    Raises what `work` raises, ClientDisconnect, and TimeoutError.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request, body_read))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientDisconnect
        raise TimeoutError
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request, body_read: asyncio.Event | None) -> None:
    if body_read is not None:
        await body_read.wait()  # until then whoever reads the body notices it
    await request.receive()  # only the end of the connection can follow
