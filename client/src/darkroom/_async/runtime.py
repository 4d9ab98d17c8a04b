"""Waiting, and work that would block: the part of the client that differs without asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from darkroom.files import blocks_of

T = TypeVar("T")


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def in_thread(call: Callable[[], T]) -> T:
    """Files and checksums of them, beside the loop."""
    return await asyncio.to_thread(call)


class FileBody:
    """The bytes of a file as the body of a request, which can be sent again; never all of them in memory."""

    def __init__(self, path: Path) -> None:
        self.path, self.length = path, path.stat().st_size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        blocks = blocks_of(self.path, self.length)
        while block := await in_thread(partial(next, blocks, b"")):
            yield block
