"""Work for a request that ends with its client, or after a time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """The body of the request must have been read. `work` is cancelled when the client goes, and after `seconds`.

    Raises what `work` raises, ClientDisconnect, and TimeoutError.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # only the end of the connection can follow
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
