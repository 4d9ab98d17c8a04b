"""`python -m pipeline render`: renders images for the API, one after the other, until its input ends."""

import argparse
import resource
import signal
import sys
from typing import BinaryIO

MEMORY_BYTES = 3 * 1024**3  # address space; 200 megapixels of RGBA have 0.8 GB, and twice that while they are turned

_CHUNK_BYTES = 1024**2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=20, help="time for one image, after which the process ends")


def main(args: argparse.Namespace) -> int:
    """Returns 0 once the input has ended. A decoder that crashes or takes too long ends the process."""
    from pydantic import TypeAdapter

    from pipeline.plots.comparison import draw_comparison
    from pipeline.plots.rendering import render  # it loads Pillow, which `--help` does not need
    from pipeline.process.frames import HEAD, IMAGE, PROBLEM, REPLY
    from pipeline.process.render_task import ComparisonTask, RenderTask

    tasks: TypeAdapter[RenderTask | ComparisonTask] = TypeAdapter(RenderTask | ComparisonTask)
    _limit()
    while head := _exactly(sys.stdin.buffer, HEAD.size):
        task = tasks.validate_json(_exactly(sys.stdin.buffer, *HEAD.unpack(head)))
        files = _Files(sys.stdin.buffer, task.total_bytes, seconds=args.seconds)
        try:
            if isinstance(task, ComparisonTask):
                reply = draw_comparison(task, files.read)
            else:
                reply = render(files.read(task.bytes), task)
            kind = IMAGE
        except Exception as error:  # noqa: BLE001 - decoders raise anything for hostile bytes: all of it means unreadable
            kind, reply = PROBLEM, _detail(error).encode(errors="replace")
        if not files.skip_rest():
            return 0
        sys.stdout.buffer.write(REPLY.pack(kind, len(reply)) + reply)
        sys.stdout.buffer.flush()
    return 0


class _Files:
    """The files that follow a head. After each the time for one image begins; it stands still while one arrives."""

    def __init__(self, stream: BinaryIO, total: int, *, seconds: int) -> None:
        self._stream, self._left, self._seconds = stream, total, seconds

    def read(self, size: int) -> bytes:
        """Raises EOFError where the input ends before."""
        signal.alarm(0)
        content = _exactly(self._stream, size)
        self._left -= len(content)
        if len(content) < size:
            raise EOFError
        signal.alarm(self._seconds)  # ends the process even inside C code, and with no parent left
        return content

    def skip_rest(self) -> bool:
        """What was not read after a failure: the next head is behind it. False where the input has ended."""
        signal.alarm(0)
        while self._left:
            content = self._stream.read(min(self._left, _CHUNK_BYTES))
            if not content:
                return False
            self._left -= len(content)
        return True


def _limit() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes the input
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder that was taken over writes no file


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Shorter where the input ends."""
    return stream.read(size)


def _detail(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "Decoding the image takes more memory than is allowed."
    return " ".join(str(error).split())[:300] or type(error).__name__
