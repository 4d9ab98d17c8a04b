"""Waiting for a condition, in place of a sleep of a guessed length."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], Value], *, seconds: float, what: str | Callable[[], str]) -> Value:
    """Returns the first true value of `condition()`. Waiting takes at most half of a core, however costly it is.

    Raises AssertionError after `seconds`, with `what` was awaited, or the text that `what()` gives then (the log of
    a server, say).
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        ended = time.monotonic()
        if ended > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(max(POLL_SECONDS, ended - began))
