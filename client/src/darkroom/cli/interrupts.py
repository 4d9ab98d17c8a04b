"""Ctrl-C ends the program with its exit code: at once while it loads, by a KeyboardInterrupt while a command works."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from darkroom.cli.exits import ExitCode


def exit_at_once() -> None:
    """From here on Ctrl-C ends the process, without a traceback. Where a shell ignores it, it stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


@contextmanager
def raised() -> Iterator[None]:
    """Inside, Ctrl-C is a KeyboardInterrupt, so that what a command began can be ended."""
    at_once = signal.getsignal(signal.SIGINT) is _exit
    if at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if at_once:
            signal.signal(signal.SIGINT, _exit)


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(ExitCode.INTERRUPTED)
