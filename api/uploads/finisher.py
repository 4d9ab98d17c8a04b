"""Whole uploads become jobs in the background: the request that brought the last byte waits a while, not for ever."""

import asyncio

import structlog
from starlette.concurrency import run_in_threadpool

from core.domain.errors import Conflict, DarkroomError, Gone, NotFound, UploadLocked
from core.services.context import Platform
from core.services.uploads.finish import finish_upload
from core.services.uploads.sessions import whole_uploads

WAIT_SECONDS = 20.0  # a proxy's idle timeout is 60 s; 2 GB take about 10 s on one machine
AT_ONCE = 2  # each reads and writes a whole upload

log = structlog.get_logger(__name__)


class Finisher:
    """At most one task an upload in this process; the hold on the row is what keeps other processes out."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def begin(self, upload_id: str) -> asyncio.Task[None]:
        task = self._tasks.get(upload_id)
        if task is None:
            task = self._tasks[upload_id] = asyncio.create_task(self._finish(upload_id))
            task.add_done_callback(lambda _task: self._tasks.pop(upload_id, None))
        return task

    async def wait(self, upload_id: str) -> None:
        await asyncio.wait([self.begin(upload_id)], timeout=WAIT_SECONDS)

    async def resume(self) -> None:
        """Finish what a process left that died between the last byte and the job."""
        try:
            for upload_id in await run_in_threadpool(whole_uploads, self._platform.db):
                self.begin(upload_id)
        except DarkroomError as error:  # whoever asks for such an upload begins it as well
            log.warning("uploads.not_resumed", reason=error.detail)

    async def _finish(self, upload_id: str) -> None:
        async with self._room:
            try:
                await run_in_threadpool(finish_upload, self._platform, upload_id)
            except (Conflict, Gone, NotFound, UploadLocked) as error:
                log.info("upload.not_ours", upload_id=upload_id, reason=error.detail)
            except DarkroomError as error:
                log.warning("upload.unfinished", upload_id=upload_id, reason=error.detail)
            except Exception:
                log.exception("upload.unfinished", upload_id=upload_id)  # a task has nobody else to tell
