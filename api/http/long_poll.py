"""Waiting for a job, a run or an operation to end."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.http.event_poll import event_poll_of
from core import clock
from core.db import Database
from core.db.tables import JobRow, RunRow
from core.services.jobs.commands import get_job
from core.services.runs.commands import get_run
from core.services.work.events import standings

CLIENT_CHECK_SECONDS = 2.0

Found = TypeVar("Found")


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
    """Return when the job, run or operation has ended, the time is up or the client is gone; at once for an id that
    does not exist.
    """
    if seconds == 0:
        return
    deadline = clock.monotonic() + seconds
    standing = (await run_in_threadpool(standings, db, [subject_id])).get(subject_id)
    if standing is None:
        return
    with event_poll_of(request).subscribed(subject_id, standing) as subscription:
        while not subscription.standing.ended and (left := deadline - clock.monotonic()) > 0:
            await subscription.wait(min(left, CLIENT_CHECK_SECONDS))
            if await request.is_disconnected():
                return


async def read_when_settled(
    request: Request,
    db: Database,
    read: Callable[[], Found],
    waits_for: Callable[[Found], str | None],
    *,
    seconds: float,
) -> Found:
    """What `read` returns once it waits for nothing, or after `seconds`. `waits_for`: the id of what ends before that;
    there may be several, one after the other."""
    deadline = clock.monotonic() + seconds
    while True:
        found = await run_in_threadpool(read)
        subject_id, left = waits_for(found), deadline - clock.monotonic()
        if subject_id is None or left <= 0 or await request.is_disconnected():
            return found
        await wait_until_ended(request, db, subject_id, seconds=left)
