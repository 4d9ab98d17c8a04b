"""On a GPU: images are prepared in threads, and those that are ready when the engine is free go through it together.

No timer: the first of them goes alone, and the others gather while it is computed.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pipeline.predictor.images import ImageUnreadable
from pipeline.predictor.predictor import MAX_BATCH, ExportPredictor, Prediction, PredictionFailed, PreparedImage

Result = Prediction | PredictionFailed
Thresholds = dict[str, Any]  # of ExportPredictor.predict_prepared


@dataclass(eq=False, slots=True)
class _Ready:
    image: PreparedImage
    thresholds: Thresholds
    future: "asyncio.Future[Result]"

    def goes_with(self, other: "_Ready") -> bool:
        return self.thresholds == other.thresholds and self.image.values.shape == other.image.values.shape


class Batches:
    """Of one model, for one event loop. `preparing`: the threads that decode."""

    def __init__(self, predictor: ExportPredictor, preparing: Executor) -> None:
        self._predictor, self._preparing = predictor, preparing
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._ready: list[_Ready] = []
        self._running: asyncio.Task[None] | None = None

    async def predict(self, content: bytes, thresholds: Thresholds) -> tuple[Result, float]:
        """The result, and the milliseconds before a thread took the image."""
        arrived = perf_counter()
        loop = asyncio.get_running_loop()
        taken, image = await loop.run_in_executor(self._preparing, self._prepared, content)
        queued_ms = 1e3 * (taken - arrived)
        if isinstance(image, PredictionFailed):
            return image, queued_ms
        ready = _Ready(image, thresholds, loop.create_future())
        self._ready.append(ready)
        if self._running is None:
            self._running = loop.create_task(self._drain())
        return await ready.future, queued_ms

    def _prepared(self, content: bytes) -> tuple[float, PreparedImage | PredictionFailed]:
        taken = perf_counter()
        try:
            return taken, self._predictor.prepare(content)
        except ImageUnreadable as error:
            return taken, PredictionFailed(str(error))

    async def _drain(self) -> None:
        try:
            while self._ready:
                if batch := self._next():
                    await self._compute(batch)
        finally:
            self._running = None

    def _next(self) -> list[_Ready]:
        """Those that go with the first, without those whose clients are gone."""
        waiting = [each for each in self._ready if not each.future.done()]
        batch = [each for each in waiting if each.goes_with(waiting[0])][:MAX_BATCH]
        taken = set(map(id, batch))
        self._ready = [each for each in waiting if id(each) not in taken]
        return batch

    async def _compute(self, batch: Sequence[_Ready]) -> None:
        """A batch that fails is computed one by one: what makes it fail may be one of its images."""
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._engine, self._run, batch)
        except Exception as error:  # noqa: BLE001 - of the engine; it belongs to the requests
            if len(batch) > 1:
                for each in batch:
                    await self._compute([each])
            elif not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        for each, result in zip(batch, results, strict=True):
            if not each.future.done():  # its client is gone
                each.future.set_result(result)

    def _run(self, batch: Sequence[_Ready]) -> list[Result]:
        return self._predictor.predict_prepared([each.image for each in batch], **batch[0].thresholds)
