"""Predictions in threads: bounded, per image, and each with an engine call of its own.

On a processor a batch gains nothing in single precision (measured when a model is loaded): every thread decodes,
computes and post-processes one image. A request that is alone gets all cores, unless something else uses them (`Lone`).
On a GPU they gather while the engine computes: see `serving.batches`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import structlog

from core.domain.errors import ModelNotServable, QueueFull
from core.settings import Settings
from pipeline.predictor.engines import EngineFailed, Tensor
from pipeline.predictor.images import size_of
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import ExportPredictor, NotComputed, Prediction, PredictionFailed
from pipeline.predictor.tile_options import OVERLAP
from pipeline.predictor.tiles import count_parts
from serving.batches import Batches
from serving.models.loading import LoadedModel

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """Of a prediction: None takes the thresholds of the export. `tile`: see `ExportPredictor.predict`."""

    min_score: float | None = None
    iou: float | None = None
    top: int = 5
    tile: int | None = None
    overlap: float = OVERLAP

    def thresholds(self) -> dict[str, Any]:
        """Those of an image that is computed whole."""
        return {"min_score": self.min_score, "iou": self.iou, "top": self.top}


@dataclass(frozen=True, slots=True)
class Answered:
    """`queued_ms`: the time before a thread took it."""

    result: Prediction | PredictionFailed
    queued_ms: float


class Pool:
    """For one event loop. `serving_waiting` images are accepted beyond those that threads compute.

    `accepted`: an image that is predicted by tiles counts as often as the model computes, but for no more than half of
    the limit, so that other requests are answered beside it.
    """

    def __init__(self, settings: Settings, *, threads: int) -> None:
        self.limit = threads + settings.serving_waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self.accepted = 0
        self._images = 0  # of them, however many tiles they have

    async def predict(
        self, model: LoadedModel, images: list[bytes], options: Options, *, by_itself: bool = False
    ) -> list[Answered]:
        """One answer for each image, in their order. Raises QueueFull, before any is begun.

        `by_itself`: whatever waits, each is computed as its replay is: in no batch, by `model.shared`.
        """
        with self._accepting(await self._costs(images, options)):
            if len(images) == 1:
                return [await self._one(model, images[0], options, by_itself)]
            return await asyncio.gather(*(self._one(model, content, options, by_itself) for content in images))

    async def raw(self, model: LoadedModel, batch: Tensor) -> Tensor:
        """See `ExportPredictor.raw`. Raises QueueFull, ModelNotServable where the engine fails."""
        with self._accepting([1] * len(batch)):
            try:
                return await self.run(model.shared.raw, batch)
            except EngineFailed as error:
                raise ModelNotServable(str(error), name=model.served.name) from error

    def raise_if_full(self) -> None:
        """Raises QueueFull where not one image more would be accepted: before a body is read."""
        if self.accepted >= self.limit:
            raise self._full()

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Something else in one of the threads, such as drawing."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(work, *args))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _costs(self, images: Sequence[bytes], options: Options) -> list[int]:
        """Of each image: how often the model computes, at most half of the limit."""
        if options.tile is None:
            return [1] * len(images)
        most = max(1, self.limit // 2)
        return [min(each, most) for each in await asyncio.to_thread(_runs_by_tiles, images, options)]

    @contextmanager
    def _accepting(self, costs: Sequence[int]) -> Iterator[None]:
        count = sum(costs)
        if self.accepted + count > max(self.limit, 0 if self.accepted else count):
            raise self._full()
        self.accepted += count
        self._images += len(costs)
        try:
            yield
        finally:
            self.accepted -= count
            self._images -= len(costs)

    def _full(self) -> QueueFull:
        detail = f"{self.accepted} images wait or are computed; at most {self.limit} may. Try again shortly."
        return QueueFull(detail, waiting=self.accepted, limit=self.limit)

    async def _one(self, model: LoadedModel, content: bytes, options: Options, by_itself: bool) -> Answered:
        try:
            return await self._predict_one(model, content, options, by_itself)
        except (EngineFailed, MetadataInvalid) as error:
            log.warning("prediction.failed", model=model.served.name, error=str(error))
            return Answered(NotComputed(str(error)), 0.0)

    async def _predict_one(self, model: LoadedModel, content: bytes, options: Options, by_itself: bool) -> Answered:
        whole = options.tile is None  # the tiles of an image are a batch of their own
        if model.choice.batches and whole and not by_itself:
            return Answered(*await self._batches_of(model).predict(content, options.thresholds()))
        alone = self._images == 1 and not by_itself and model.lone.on_all_cores()
        stopped = threading.Event()
        predictor = model.alone if alone else model.shared
        work = partial(_computed, predictor, content, options, perf_counter(), stopped.is_set)
        try:
            answered = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            stopped.set()  # the client is gone, or its time is over: its tiles are not computed any more
        if self._images == 1 and whole and isinstance(answered.result, Prediction):
            model.lone.note(answered.result.milliseconds["inference"], on_all_cores=alone)
        return answered

    def _batches_of(self, model: LoadedModel) -> Batches:
        if model.batches is None:
            model.batches = Batches(model.shared, self._executor)
        return model.batches


def _runs_by_tiles(images: Sequence[bytes], options: Options) -> list[int]:
    """1 for an image that will fail."""
    sizes = [size_of(each) or (1, 1) for each in images]
    tile = options.tile or 1
    return [max(1, count_parts(*size, tile=tile, overlap=options.overlap)) for size in sizes]


def _computed(
    predictor: ExportPredictor, content: bytes, options: Options, arrived: float, is_stopped: Callable[[], bool]
) -> Answered:
    started = perf_counter()
    (result,) = predictor.predict(
        [content], tile=options.tile, overlap=options.overlap, is_stopped=is_stopped, **options.thresholds()
    )
    return Answered(result, 1e3 * (started - arrived))
