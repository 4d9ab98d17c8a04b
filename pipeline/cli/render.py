"""`python -m pipeline render`: renders images for the API, one after the other, until its input ends."""

import argparse
import resource
import signal
import sys
from typing import BinaryIO

MEMORY_BYTES = 3 * 1024**3  # address space; 200 megapixels of RGBA have 0.8 GB, and twice that while they are turned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=20, help="time for one image, after which the process ends")


def main(args: argparse.Namespace) -> int:
    """Returns 0 once the input has ended. A decoder that crashes or takes too long ends the process."""
    from pipeline.plots.rendering import render  # it loads Pillow, which `--help` does not need
    from pipeline.process.frames import HEAD, IMAGE, PROBLEM, REPLY
    from pipeline.process.render_task import RenderTask

    _limit()
    while head := _exactly(sys.stdin.buffer, HEAD.size):
        task = RenderTask.model_validate_json(_exactly(sys.stdin.buffer, *HEAD.unpack(head)))
        content = _exactly(sys.stdin.buffer, task.bytes)
        if len(content) < task.bytes:
            return 0
        signal.alarm(args.seconds)  # ends the process even inside C code, and with no parent left
        try:
            kind, reply = IMAGE, render(content, task)
        except Exception as error:  # noqa: BLE001 - decoders raise anything for hostile bytes: all of it means unreadable
            kind, reply = PROBLEM, _detail(error).encode(errors="replace")
        signal.alarm(0)
        sys.stdout.buffer.write(REPLY.pack(kind, len(reply)) + reply)
        sys.stdout.buffer.flush()
    return 0


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
