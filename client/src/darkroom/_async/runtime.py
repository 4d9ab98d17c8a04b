"""Waiting, and work that would block: the part of the client that differs without asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def in_thread(call: Callable[[], T]) -> T:
    """Files and checksums of them, beside the loop."""
    return await asyncio.to_thread(call)
