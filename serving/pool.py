"""Predictions in threads: bounded, per image, and each with an engine call of its own.

On a processor a batch gains nothing in single precision (measured when a model is loaded): every thread decodes,
computes and post-processes one image. A request that is alone gets all threads of the machine for its computation.
On a GPU the images that wait when the engine is free go through it together; nothing waits for a timer.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from core.domain.errors import QueueFull
from core.settings import Settings
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed
from pipeline.predictor.tile_options import OVERLAP
from serving.models.loading import LoadedModel

MAX_BATCH = 32
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """Of a prediction: None takes the thresholds of the export. `tile`: see `ExportPredictor.predict`."""

    min_score: float | None = None
    iou: float | None = None
    top: int = 5
    tile: int | None = None
    overlap: float = OVERLAP


@dataclass(frozen=True, slots=True)
class Answered:
    """`queued_ms`: the time before a thread took it."""

    result: Prediction | PredictionFailed
    queued_ms: float


@dataclass(slots=True)
class _Waiting:
    content: bytes
    options: Options
    arrived: float
    future: "asyncio.Future[Answered]"


class Pool:
    """For one event loop. `serving_waiting` images are accepted beyond those that threads compute."""

    def __init__(self, settings: Settings, *, threads: int) -> None:
        self._limit = threads + settings.serving_waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._batches: dict[int, list[_Waiting]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.accepted = 0

    async def predict(
        self, model: LoadedModel, images: list[bytes], options: Options, *, by_itself: bool = False
    ) -> list[Answered]:
        """One answer for each image, in their order. Raises QueueFull, before any is begun.

        `by_itself`: whatever waits, each is computed as its replay is: in no batch, by `model.shared`.
        """
        if self.accepted + len(images) > max(self._limit, len(images) if not self.accepted else 0):
            raise self._full()
        self.accepted += len(images)
        try:
            return await asyncio.gather(*(self._one(model, content, options, by_itself) for content in images))
        finally:
            self.accepted -= len(images)

    def raise_if_full(self) -> None:
        """Raises QueueFull where not one image more would be accepted: before a body is read."""
        if self.accepted >= self._limit:
            raise self._full()

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Something else in one of the threads, such as drawing."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(work, *args))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _full(self) -> QueueFull:
        detail = f"{self.accepted} images wait or are computed; at most {self._limit} may. Try again shortly."
        return QueueFull(detail, waiting=self.accepted, limit=self._limit)

    async def _one(self, model: LoadedModel, content: bytes, options: Options, by_itself: bool) -> Answered:
        if model.choice.batches and not by_itself:
            return await self._in_a_batch(model, content, options)
        predictor = model.alone if self.accepted == 1 and not by_itself else model.shared
        work = partial(_computed, predictor, content, options, perf_counter())
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _in_a_batch(self, model: LoadedModel, content: bytes, options: Options) -> Answered:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(content, options, perf_counter(), loop.create_future())
        key = id(model)
        self._batches.setdefault(key, []).append(waiting)
        if key not in self._running:
            self._running[key] = loop.create_task(self._drain(key, model))
        return await waiting.future

    async def _drain(self, key: int, model: LoadedModel) -> None:
        """One batch after the other, of whatever waits when the engine is free."""
        loop = asyncio.get_running_loop()
        try:
            while self._batches[key]:
                batch = self._next_batch(key)
                if not batch:
                    break
                try:
                    results = await loop.run_in_executor(self._executor, _computed_together, model.shared, batch)
                except Exception as error:  # noqa: BLE001 - it belongs to each of the requests
                    for each in batch:
                        if not each.future.done():
                            each.future.set_exception(error)
                    continue
                for each, result in zip(batch, results, strict=True):
                    if not each.future.done():  # its client is gone
                        each.future.set_result(result)
        finally:
            del self._running[key]
            del self._batches[key]

    def _next_batch(self, key: int) -> list[_Waiting]:
        """Those with the options of the first."""
        waiting = [each for each in self._batches[key] if not each.future.done()]  # their clients are gone
        if not waiting:
            return []
        same = [each for each in waiting if each.options == waiting[0].options][:MAX_BATCH]
        self._batches[key] = [each for each in waiting if each not in same]
        return same


def _computed(predictor: ExportPredictor, content: bytes, options: Options, arrived: float) -> Answered:
    started = perf_counter()
    (result,) = predictor.predict([content], **asdict(options))
    return Answered(result, 1e3 * (started - arrived))


def _computed_together(predictor: ExportPredictor, batch: list[_Waiting]) -> list[Answered]:
    started, options = perf_counter(), batch[0].options
    contents = [each.content for each in batch]
    results = predictor.predict(contents, **asdict(options))
    return [Answered(result, 1e3 * (started - each.arrived)) for each, result in zip(batch, results, strict=True)]
