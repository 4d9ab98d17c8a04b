"""Waiting, and work that would block: the part of the client that differs without asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def in_thread(call: Callable[[], T]) -> T:
    """Files and checksums of them: at once."""
    return call()
