"""A decoding process, seen from its parent: forked by multiprocessing's fork server, which has imported what it needs.

Not forked from here, because there are threads; not a new interpreter, because each would import numpy and Pillow
again (0.2 s). The fork server starts with the first decoding process and ends with this process.
"""

import multiprocessing
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from core.domain.limits import MAX_IMAGE_BYTES
from pipeline.decode.child import READY, serve

_PRELOADED = [
    *("pipeline.decode.child", "pipeline.decode.tasks"),
    *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff")),  # TIFF's reads EXIF
]
_MAX_REPLY = MAX_IMAGE_BYTES + 1024**2  # bytes: a converted image and its facts
_START_SECONDS = 60.0
_EXIT_SECONDS = 1.0
_MAX_TEMPORARY = 70  # characters: the server's socket lies below, and the path of a socket has at most 107
_LOCK = threading.Lock()  # multiprocessing starts and reaps processes from one thread at a time


class ProcessEnded(Exception):
    """The decoding process closed its end of the connection, or sent what is no message."""


class DecodingProcess:
    """A process that runs `work`, a function of a module, for each task; it may die, or send anything, at any time.

    `writes`: it may write files, since it decodes nothing that a user sent.

    A process belongs to one thread; only `stop` and `silent_seconds` are called by others. Raises ProcessEnded where
    it does not start.
    """

    def __init__(self, work: Callable[[Any], bytes], seconds: float, *, writes: bool = False) -> None:
        self._since: float | None = None
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, work, seconds, writes), daemon=True)
        try:
            with _LOCK:
                self._process.start()
            theirs.close()
            if not self._connection.poll(_START_SECONDS) or self.receive() != READY:
                raise ProcessEnded
        except (OSError, EOFError) as error:  # the server died while it was starting the process
            self._connection.close()
            raise ProcessEnded from error

    def send(self, tasks: list[Any]) -> None:
        """Only once every earlier task has its reply: the process reads nothing while it works."""
        self._since = time.monotonic()
        with suppress(OSError):  # it is dead already: `receive` raises
            self._connection.send(tasks)

    def receive(self) -> bytes:
        """The next reply. Raises ProcessEnded."""
        try:
            reply = self._connection.recv_bytes(_MAX_REPLY)
        except (OSError, EOFError) as error:
            raise ProcessEnded from error
        self._since = time.monotonic()
        return reply

    def rest(self) -> None:
        """All tasks have their replies."""
        self._since = None

    def silent_seconds(self) -> float:
        """How long the next reply has been due; 0 for a process without tasks."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self) -> None:
        """Kill it, and make a `receive` that waits for it raise ProcessEnded, whatever else holds the other end."""
        self._process.kill()
        with suppress(OSError), socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.shutdown(socket.SHUT_RDWR)

    def exit_status(self) -> int | None:
        """Negative for a signal; None where it still runs."""
        with _LOCK:
            self._process.join(_EXIT_SECONDS)
            return self._process.exitcode

    def close(self) -> None:
        """End it and free what this process holds of it; with that it also ends where its server has died."""
        self.stop()
        self._connection.close()
        with _LOCK, suppress(ValueError):  # still running after a kill and a second: its parent's end will end it
            self._process.join(_EXIT_SECONDS)
            self._process.close()


def start_server() -> None:
    """Starts the fork server, which imports for 0.3 s, ahead of the first process that it is to fork.

    Where it cannot be started now, that process starts it.
    """
    with suppress(OSError):
        if isinstance(_context(), ForkServerContext):
            forkserver.ensure_running()


def _context() -> ForkServerContext | SpawnContext:
    if len(tempfile.gettempdir()) > _MAX_TEMPORARY:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context
