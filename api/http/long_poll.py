"""Waiting for a job or a run to end: async, with short sessions in threads."""

import asyncio

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from core import clock
from core.db import Database
from core.services.work.events import newest_event

FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 0.5


async def wait_until_ended(request: Request, db: Database, subject_id: str, *, seconds: float) -> None:
    """Return when it has ended, the time is up or the client has gone. Raises JobNotFound, RunNotFound."""
    deadline = clock.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    while (left := deadline - clock.monotonic()) > 0:
        _, ended = await run_in_threadpool(newest_event, db, subject_id)
        if ended or await request.is_disconnected():
            return
        await asyncio.sleep(min(pause, left))
        pause = longer(pause)


def longer(pause: float) -> float:
    return min(pause * 1.5, LAST_PAUSE_SECONDS)
