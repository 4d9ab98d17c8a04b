"""Answers that are drawn: in a lane of their own, so that requests for boxes pass them.

Decoding, drawing and writing an image of 16 megapixels takes a second of a core, a hundred times a prediction. Whoever
asks for forty of them would otherwise keep every thread from all others until the last one is drawn.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from core.domain.errors import QueueFull
from pipeline.predictor.images import size_of

MAX_PIXELS = 400_000_000  # that wait or are drawn: some 25 s of a core, of the 60 that an answer may take

T = TypeVar("T")


class Drawings:
    """For one event loop. As many are predicted and drawn at once as half of the `threads` of predictions."""

    def __init__(self, *, threads: int) -> None:
        at_once = max(1, threads // 2)
        self.pixels = 0  # of the images that wait or are drawn
        self._turns = asyncio.Semaphore(at_once)
        self._executor = ThreadPoolExecutor(at_once, thread_name_prefix="draw")

    @asynccontextmanager
    async def turn(self, content: bytes) -> AsyncIterator[None]:
        """Waits until this image may be predicted and drawn. Raises QueueFull where too many pixels wait already."""
        width, height = size_of(content) or (1, 1)  # the prediction says what is wrong with it
        pixels = width * height
        if self.pixels and self.pixels + pixels > MAX_PIXELS:
            waiting, limit = f"{self.pixels / 1e6:.0f}", f"{MAX_PIXELS / 1e6:.0f}"
            detail = f"Images of {waiting} megapixels wait to be drawn; at most {limit} may. Try again shortly."
            raise QueueFull(detail, waiting_pixels=self.pixels, limit_pixels=MAX_PIXELS)
        self.pixels += pixels
        try:
            async with self._turns:
                yield
        finally:
            self.pixels -= pixels

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """In a thread of the lane; to be called in a turn."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(work, *args))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
