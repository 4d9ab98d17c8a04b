"""Waiting, and work that would block: the part of the client that differs without asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from darkroom.files import blocks_of

T = TypeVar("T")


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def in_thread(call: Callable[[], T]) -> T:
    """Files and checksums of them: at once."""
    return call()


class FileBody:
    """The bytes of a file as the body of a request, which can be sent again; never all of them in memory."""

    def __init__(self, path: Path) -> None:
        self.path, self.length = path, path.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        return blocks_of(self.path, self.length)
