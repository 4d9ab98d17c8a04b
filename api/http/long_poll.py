"""Waiting for a job or a run to end: async, with short database sessions in threads."""

import asyncio

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from core import clock
from core.db import Database
from core.db.tables import JobRow, RunRow
from core.services.jobs.commands import get_job
from core.services.runs.commands import get_run
from core.services.work.events import newest_event

FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 0.5


async def job_when_ended(request: Request, db: Database, job: JobRow, *, seconds: float) -> JobRow:
    """The job as it is when it has ended or after `seconds`; for 0 seconds the row passed in."""
    if seconds == 0:
        return job
    await wait_until_ended(request, db, job.id, seconds=seconds)
    return await run_in_threadpool(get_job, db, job.id, allow_deleted=True)


async def run_when_ended(request: Request, db: Database, run: RunRow, *, seconds: float) -> RunRow:
    """The run as it is when it has ended or after `seconds`; for 0 seconds the row passed in."""
    if seconds == 0:
        return run
    await wait_until_ended(request, db, run.id, seconds=seconds)
    return await run_in_threadpool(get_run, db, run.id)


async def wait_until_ended(request: Request, db: Database, subject_id: str, *, seconds: float) -> None:
    """Return when the job or run has ended, the time is up or the client is gone. Raises JobNotFound, RunNotFound."""
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
