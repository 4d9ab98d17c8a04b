"""What a decoding process runs: it takes lists of tasks and sends one reply for each, under limits of its own."""

import ctypes
import math
import multiprocessing
import os
import resource
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB
READY = b""  # the first message: the process has started, so what ends it from here on is its work
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES, _MAPPED_BYTES = 64 * 1024**2, 32 * 1024**2
_GRACE_SECONDS = 10  # after the parent would have killed it: this alarm also ends a process that has no parent left


def serve(connection: Connection, work: Callable[[Any], bytes], seconds: float, writes: bool = False) -> None:
    """Send `work(task)` for each task received, until the other end is closed.

    An exception of `work` ends the process. So does a task that takes longer than `seconds` and a grace, even inside
    C code that never returns to the interpreter.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata; ImageFacts carry what matters
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not writes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder that was taken over writes no file
    _keep_freed_memory()
    connection.send_bytes(READY)
    while True:
        try:
            tasks = connection.recv()  # the parent is trusted; the parent in turn unpickles nothing
        except EOFError:
            return
        for task in tasks:
            signal.alarm(math.ceil(seconds) + _GRACE_SECONDS)
            connection.send_bytes(work(task))
        signal.alarm(0)


def _keep_freed_memory() -> None:
    """What a task frees stays for the next one: glibc gives the system back what an image took, and to have it again
    takes as long as inflating the image. Of no effect with other libraries."""
    with suppress(AttributeError, OSError):  # OSError: Python itself is linked statically
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
