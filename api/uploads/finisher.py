"""Complete uploads become jobs in the background; the request with the last byte waits for at most 20 s."""

import asyncio

import structlog
from starlette.concurrency import run_in_threadpool

from core.domain.errors import Conflict, DarkroomError, Gone, NotFound, UploadLocked
from core.services.context import Platform
from core.services.uploads.finish import finish_upload
from core.services.uploads.sessions import complete_uploads

WAIT_SECONDS = 20.0  # a proxy's idle timeout is 60 s; 2 GB take about 10 s on one machine
CONCURRENT = 2  # each reads and writes a whole upload

log = structlog.get_logger(__name__)


class Finisher:
    """Runs at most one task for each upload in this process. The lease on the row excludes other processes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)

    def begin(self, upload_id: str) -> asyncio.Task[None]:
        task = self._tasks.get(upload_id)
        if task is None:
            task = self._tasks[upload_id] = asyncio.create_task(self._finish(upload_id))
            task.add_done_callback(lambda _task: self._tasks.pop(upload_id, None))
        return task

    async def wait(self, upload_id: str) -> None:
        await asyncio.wait([self.begin(upload_id)], timeout=WAIT_SECONDS)

    async def resume(self) -> None:
        """Finish the uploads of a process that died between the last byte and the job."""
        try:
            for upload_id in await run_in_threadpool(complete_uploads, self._platform.db):
                self.begin(upload_id)
        except DarkroomError as error:  # a GET or HEAD of such an upload starts it as well
            log.warning("uploads.resume_failed", reason=error.detail)

    async def _finish(self, upload_id: str) -> None:
        async with self._slots:
            try:
                await run_in_threadpool(finish_upload, self._platform, upload_id)
            except (Conflict, Gone, NotFound, UploadLocked) as error:
                log.info("upload.finished_elsewhere", upload_id=upload_id, reason=error.detail)
            except DarkroomError as error:
                log.warning("upload.finish_failed", upload_id=upload_id, reason=error.detail)
            except Exception:
                log.exception("upload.finish_failed", upload_id=upload_id)  # nothing awaits the task's exception
