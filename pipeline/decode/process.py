"""Where decoding processes come from: a server that has imported what they need, and forks (`fork_server`).

Not by fork from here, since there are threads; not a new interpreter for each, since that costs 0.1 s of importing; and
not by multiprocessing's server, whose imports, here and there and in a third process that tracks what we do not use,
take as long as decoding a hundred images.
"""

import atexit
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from pipeline.decode.fork_server import END, ENDED, REQUEST, START
from pipeline.decode.fork_server_start import server

_UNREAD = 100  # megabytes that a process may have said and nobody read: more than a socket holds


class Ending(NamedTuple):
    """How a process ended: its exit status, negative for a signal; `killed` where it did not end by itself."""

    status: int
    killed: bool


class _Server:
    """One of this process, started when first needed, and again when it has died. It ends when this process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None
        self._process = 0
        self._started = 0  # decoding processes, by all servers
        self._before = 0  # of them those of servers that have died

    def start(self, line: socket.socket) -> int:
        """A decoding process at that end of a line; not waited for. Returns its number."""
        with self._lock:
            try:
                self._send_line(line)
            except ConnectionError:
                self._died()
                self._send_line(line)
            self._started += 1
            return self._started - 1

    def end(self, number: int, seconds: float) -> Ending | None:
        """Wait so long for its end, then kill it. None where nobody knows, since its server has died."""
        with self._lock:
            if number < self._before:
                return None
            try:
                requests = self._running()
                requests.sendall(REQUEST.pack(END, number, seconds))
                answer = requests.recv(ENDED.size, socket.MSG_WAITALL)
            except ConnectionError:
                answer = b""
            if len(answer) < ENDED.size:
                self._died()
                return None
            return Ending(*ENDED.unpack(answer))

    def _send_line(self, line: socket.socket) -> None:
        socket.send_fds(self._running(), [REQUEST.pack(START, self._started, 0.0)], [line.fileno()])

    def _running(self) -> socket.socket:
        if self._requests is None:
            self._requests, self._process = server()
            atexit.register(self._requests.close)
        return self._requests

    def _died(self) -> None:
        if self._requests:
            self._requests.close()
            with suppress(ChildProcessError):
                os.waitpid(self._process, os.WNOHANG)
        self._requests, self._before = None, self._started


_SERVER = _Server()


class DecodingProcess:
    """A process that does `work`, a function of a module, for each task; it may die at any time.

    `line` is our end: lists of tasks go down, one answer for each comes up, and before all others the process's number,
    which whoever reads it sets as `pid`.
    """

    pid: int | None = None

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.line, theirs = socket.socketpair()
        with theirs:
            self._number = _SERVER.start(theirs)
        self._ending: Ending | None = None
        self._over = False
        with suppress(ConnectionError):  # its server has died; whoever listens finds that out
            self.line.sendall(pickle.dumps(work))

    def end(self, *, seconds: float = 0.0) -> Ending | None:
        """Wait so long for its end, then kill it. None where nobody knows how it ended."""
        if not self._over:
            self._over = True
            self._ending = _SERVER.end(self._number, seconds)
            if self._ending is None and self.pid is not None and not self._is_gone():
                os.kill(self.pid, signal.SIGKILL)
            self.line.close()
        return self._ending

    def _is_gone(self) -> bool:
        """Only an end that nobody holds any more says so: the number may be another process's by then."""
        try:
            for _ in range(_UNREAD):
                if not self.line.recv(1 << 20, socket.MSG_DONTWAIT):
                    return True
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False
