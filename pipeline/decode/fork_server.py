"""The server that decoding processes are forked from, and what each of them does. See `pipeline.decode.process`.

Its standard input is a socket to the process that started it: requests come from there, and its end is our end.
"""

import gc
import importlib
import os
import pickle
import resource
import signal
import socket
import struct
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB
LENGTH = struct.Struct(">Q")  # before each answer

REQUEST = struct.Struct("=cQd")  # what, number of the process, seconds; with START comes its end of a line
START, END = b"s", b"e"
ENDED = struct.Struct("=i?")  # exit status, negative for a signal; whether it had to be killed

# Whatever a decoder needs for nearly every image, before it is asked for.
_IMPORTED = (
    *("pipeline.decode.tasks", "pipeline.decode.image", "pipeline.decode.phash_index"),
    *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff")),  # TIFF's reads EXIF
)
_READ = 1 << 20  # bytes of an answer above which it is not copied
_LOOK_SECONDS = 0.001


def main() -> None:
    """Until the other end is closed. Whatever is forked ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork wants no threads, and starting them takes as long as numpy
    gc.disable()
    for module in _IMPORTED:
        importlib.import_module(module)
    gc.freeze()  # else every process looks at all of it again, and so gets a copy of it
    gc.enable()
    running: dict[int, int] = {}
    try:
        with socket.socket(fileno=0) as requests:
            while _serve_one(requests, running):
                pass
    except ConnectionError:
        pass  # the other end died while it waited for us
    finally:
        for process in running.values():
            os.kill(process, signal.SIGKILL)


def _serve_one(requests: socket.socket, running: dict[int, int]) -> bool:
    """False: there will be no more."""
    request, sockets, _, _ = socket.recv_fds(requests, REQUEST.size, 1, socket.MSG_WAITALL)
    if len(request) < REQUEST.size:
        return False
    what, number, seconds = REQUEST.unpack(request)
    if what == START:
        try:
            running[number] = _fork(requests, sockets[0])
        except OSError:  # no more processes: its line is closed, which tells
            traceback.print_exc()
        finally:
            os.close(sockets[0])
    elif number in running:
        requests.sendall(ENDED.pack(*_ended(running[number], seconds)))
        del running[number]
    else:
        requests.sendall(ENDED.pack(1, False))
    return True


def _fork(requests: socket.socket, line: int) -> int:
    process = os.fork()
    if process:
        return process
    try:
        requests.close()
        os.open(os.devnull, os.O_RDONLY)  # as standard input, which is free now
        serve(line)
        os._exit(1)
    except BaseException:  # noqa: BLE001 - our mistakes, and want of memory; the server's code is not for this process
        traceback.print_exc()
        os._exit(1)


def _ended(process: int, seconds: float) -> tuple[int, bool]:
    """How it ended; made to, where it does not within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), False
        time.sleep(_LOOK_SECONDS)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), True


def serve(line: int) -> None:
    """The decoding process: is told its work and says which process it is; then lists of tasks come, one answer for
    each goes back. Work that cannot read what it is to work on ends it, without a word."""
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters is said by the facts
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder that was taken over writes no file
    try:
        with open(line, "rb") as tasks:
            work: Callable[[Any], Any] = pickle.load(tasks)  # noqa: S301 - of our own making
            _answer(line, os.getpid())
            while True:
                for task in pickle.load(tasks):  # noqa: S301
                    _answer(line, work(task))
    except (EOFError, OSError, pickle.UnpicklingError):
        return  # the parent is done, or gone


def _answer(line: int, answer: Any) -> None:
    content = pickle.dumps(answer)
    head = LENGTH.pack(len(content))
    for part in [head + content] if len(content) < _READ else [head, content]:  # what is large is not copied
        left = memoryview(part)
        while left:
            left = left[os.write(line, left) :]
