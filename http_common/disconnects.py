"""Work for a request that ends with its client, or after a time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T], *, seconds: float | None = None) -> T:
    """`work` is cancelled when the client goes, and after `seconds`. The body of the request must have been read.

    Raises what `work` raises, ClientDisconnect, and TimeoutError.
    """
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    gone = over = False

    def end(_: object) -> None:
        nonlocal gone
        if not over:  # else it was called in the moment in which the work ended
            gone = True
            task.cancel()

    watching = asyncio.ensure_future(_end_of(request))
    watching.add_done_callback(end)
    try:
        async with asyncio.timeout(seconds):
            return await work
    except asyncio.CancelledError:
        if gone and not task.uncancel():  # else something else ends the task too
            raise ClientDisconnect from None
        raise
    finally:
        over = True
        watching.remove_done_callback(end)
        watching.cancel()


async def _end_of(request: Request) -> None:
    await request.receive()  # only the end of the connection can follow
