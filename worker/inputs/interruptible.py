"""Calls that cannot be interrupted, such as a DNS lookup, and pauses, with a check that may raise meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import wait as wait_for
from typing import TypeVar

from core import clock
from worker.threads import start_in_thread

Check = Callable[[], None]
Result = TypeVar("Result")
_TICK_SECONDS = 0.1


def until(ends: float, check: Check, late: Callable[[], Exception]) -> Check:
    """A check that also raises `late()` after the monotonic second `ends`."""

    def patient() -> None:
        check()
        if clock.monotonic() > ends:
            raise late()

    return patient


def interruptible(work: Callable[[], Result], check: Check, *, name: str) -> Result:
    """Do `work` in a thread, and call `check` meanwhile.

    When `check` raises, the thread is left behind: the caller closes the client, and with it the thread's connection.
    """
    future = start_in_thread(work, name=name)
    while not wait_for([future], timeout=_TICK_SECONDS).done:
        check()
    return future.result()


def pause(seconds: float, check: Check) -> None:
    ends = clock.monotonic() + seconds
    while (left := ends - clock.monotonic()) > 0:
        check()
        time.sleep(min(left, _TICK_SECONDS))
