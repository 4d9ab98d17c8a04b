"""Work for a request, within the time that an answer may take, and no longer than its client waits."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from core.domain.errors import PredictionTimedOut
from http_common.disconnects import while_connected
from serving.state import Serving

T = TypeVar("T")


async def in_time(request: Request, serving: Serving, work: Coroutine[Any, Any, T]) -> T:
    """Its body must have been read. Images that wait are not computed any more when the client goes.

    Raises what `work` raises, PredictionTimedOut, and ClientDisconnect.
    """
    seconds = serving.platform.settings.serving_answer_seconds
    try:
        return await while_connected(request, work, seconds=seconds)
    except TimeoutError as error:
        raise PredictionTimedOut(f"The prediction was not ready within {seconds:g} s.", seconds=seconds) from error
