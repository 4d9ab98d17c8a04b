"""The process that decodes images for the API: one, started when it is first needed, replaced when it hangs or dies."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import structlog

from core import clock
from core.domain.errors import ImageNotRendered, Unavailable
from pipeline.process.environment import child_environment
from pipeline.process.frames import IMAGE, MAX_REPLY_BYTES, REPLY, pack_head
from pipeline.process.render_task import ComparisonTask, RenderTask

IMAGE_SECONDS = 20.0  # for one image; 200 megapixels take about 5
IDLE_SECONDS = 60.0  # after which the process ends; it takes 100 MB
MAX_WAITING = 100  # images: two pages of 50; at 10 to 50 ms each none waits for long
_SEND_SECONDS = 60.0  # for the store to send the bytes of an image
_GRACE_SECONDS = 5.0  # after which the process ends itself, even when nobody is left to kill it

Chunks = Callable[[], Iterator[bytes]]
Task = RenderTask | ComparisonTask

log = structlog.get_logger(__name__)


class _Died(Exception):
    """The process closed its end, or sent what is no reply."""


class Renderer:
    """A thread with a process, which is trusted with nothing but the bytes of the images. Used from one event loop."""

    def __init__(self) -> None:
        self._image_seconds, self._idle_seconds = IMAGE_SECONDS, IDLE_SECONDS
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renderer")
        self._waiting = 0
        self._alone = threading.Lock()  # guards what follows
        self._process: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0
        self._is_watched = False  # by the timer that ends it when it is idle
        self._closed = False

    async def render(self, task: Task, chunks: Chunks, *, name: str) -> bytes:
        """A JPEG, or the PNG of a comparison. `chunks()` yields the bytes of the files from their begin; `name` is for
        people.

        Raises ImageNotRendered, Unavailable (too many images wait), and what `chunks` raises.
        """
        if self._waiting >= MAX_WAITING:
            detail = f"{MAX_WAITING} images are waiting to be rendered; ask again in some seconds."
            raise Unavailable(detail, service="renderer")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, task, chunks, name)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the process, and whatever waits for it."""
        self._closed = True
        if process := self._process:
            process.kill()
        self._thread.shutdown(cancel_futures=True)
        self._end()

    def _render(self, task: Task, chunks: Chunks, name: str) -> bytes:
        with self._alone:
            try:
                return self._rendered(task, chunks, name)
            except ImageNotRendered:
                raise
            except BaseException:  # of the store: half an image was sent
                self._end()
                raise
            finally:
                self._used_at = clock.monotonic()
                if not self._is_watched:
                    self._end_if_idle_in(self._idle_seconds)

    def _rendered(self, task: Task, chunks: Chunks, name: str) -> bytes:
        for is_last in (False, True):
            try:
                return self._ask(self._started(), task, chunks, name)
            except _Died:  # once may be chance: the system kills processes for want of memory
                status = self._end()
                if is_last:
                    raise _refused(name, f"ended the process (exit status {status})") from None
                log.warning("renderer.died", name=name, status=status)
        raise AssertionError("the last turn returns or raises")

    def _ask(self, process: subprocess.Popen[bytes], task: Task, chunks: Chunks, name: str) -> bytes:
        assert process.stdin and process.stdout  # noqa: S101 - for the type checker: both are pipes
        with _killed_after(process, _SEND_SECONDS) as is_late:
            try:
                process.stdin.write(pack_head(task.model_dump()))
                for chunk in chunks():
                    process.stdin.write(chunk)
                process.stdin.flush()
            except OSError as error:
                if is_late():
                    raise Unavailable("The image could not be read in time.", service="store") from error
                raise _Died from error
        with _killed_after(process, self._image_seconds) as is_late:
            try:
                kind, size = REPLY.unpack(_exactly(process, REPLY.size))
                reply = _exactly(process, size)
            except _Died:
                if not is_late():
                    raise
                self._end()
                raise _refused(name, f"took more than {self._image_seconds:g} seconds") from None
        if kind != IMAGE:
            raise _refused(name, f"failed: {reply[:300].decode(errors='replace')}")
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise Unavailable("The service is stopping.", service="renderer")
        if self._process is None:
            seconds = str(round(self._image_seconds + _GRACE_SECONDS))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "render", "--seconds", seconds],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=child_environment(os.environ),
                start_new_session=True,  # Ctrl-C on a terminal is for the API
            )
            log.info("renderer.started", pid=self._process.pid)
        return self._process

    def _end(self) -> int | None:
        """Kill the process, if there is one. Returns its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent yet
                if pipe:
                    pipe.close()
        return process.wait()

    def _end_if_idle_in(self, seconds: float) -> None:
        self._is_watched = True
        _start_timer(seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        with self._alone:
            left = self._used_at + self._idle_seconds - clock.monotonic()
            self._is_watched = False
            if left <= 0:
                self._end()
            elif not self._closed:
                self._end_if_idle_in(left)


def _start_timer(seconds: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[Callable[[], bool]]:
    """Yields a function: whether the process was killed because the block took too long."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = _start_timer(seconds, kill)
    try:
        yield late.is_set
    finally:
        timer.cancel()


def _exactly(process: subprocess.Popen[bytes], size: int) -> bytes:
    assert process.stdout  # noqa: S101 - for the type checker
    content = process.stdout.read(size) if size <= MAX_REPLY_BYTES else b""
    if len(content) < size:
        raise _Died
    return content


def _refused(name: str, why: str) -> ImageNotRendered:
    return ImageNotRendered(f"{name}: decoding it {why}.", path=name)
