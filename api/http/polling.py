"""Queries that are repeated as long as anybody listens to their answers."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from core.domain.errors import DarkroomError

log = structlog.get_logger(__name__)


async def poll_while(
    wanted: Callable[[], bool], query: Callable[[], Awaitable[None]], *, of: str, seconds: float, faulty_seconds: float
) -> None:
    """`query()` every `seconds` while `wanted()`, every `faulty_seconds` while it fails. `of`: for the log."""
    failing = False
    while wanted():
        try:
            await query()
            failing = False
        except DarkroomError as error:  # the streams stay open, and go on when the database answers
            if not failing:
                log.warning(f"{of}.unavailable", error=error.detail)
            failing = True
        except Exception:  # nothing awaits the task, and without it the streams would stay silent
            log.exception(f"{of}.failed")
            failing = True
        await asyncio.sleep(faulty_seconds if failing else seconds)
