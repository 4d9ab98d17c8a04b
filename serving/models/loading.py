"""The file of an export into memory: opened, tried and measured."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import cast

import numpy as np
import structlog
from PIL import Image

from core.domain.errors import ModelNotServable
from core.services.models.served import Served
from pipeline.export.bounds import BOUNDS
from pipeline.export.catalogue import Precision
from pipeline.predictor.engines import Device, Engine, EngineFailed, open_engine
from pipeline.predictor.predictor import ExportPredictor
from serving.batches import Batches
from serving.models.lone import Lone

WARM_RUNS = 3
MEASURED_RUNS = 9
SHARED_THREADS = 1  # of the predictor that several requests use at once
BATCH = 8
BATCHING_GAIN = 0.7  # a batch is worth waiting for where an image in it takes less than this share of one alone
MEMORY_TIMES = 2.0  # of the file: weights, and their copy in the order that the engine computes in

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was taken, and what each took for one image and for one of a batch, in milliseconds."""

    engine: str
    device: str
    milliseconds: dict[str, float]
    batched: dict[str, float]
    batches: bool
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class LoadedModel:
    """`alone` computes an image on all cores, for a request that has the machine to itself; `shared` on one.

    `in_use`: requests that are answered by it; while there are any it stays in memory.
    """

    served: Served
    alone: ExportPredictor
    shared: ExportPredictor
    lone: Lone
    choice: Choice
    bytes: int
    loaded_at: float
    load_seconds: float
    in_use: int = 0
    used_at: float = 0.0
    requests: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)
    batches: Batches | None = None


def open_model(
    served: Served,
    file: Path,
    *,
    engine: str,
    threads: int,
    now: float,
    device: Device = "auto",
    opened_by: Callable[..., Engine] = open_engine,
) -> LoadedModel:
    """Opened, tried with every engine that `engine` allows, and warm. Raises ModelNotServable.

    `engine`: `auto`, `onnxruntime` or `openvino`. Another one than the export was certified with is taken only if it
    answers within the bounds of the precision, and faster.
    """
    started = perf_counter()
    names = _allowed(served, engine)
    open_on = partial(opened_by, file, device=device)
    opened: dict[str, ExportPredictor] = {}
    notes = []
    for name in names:
        try:
            opened[name] = ExportPredictor(file, engine=open_on(threads=SHARED_THREADS, streams=threads, name=name))
        except Exception as error:  # noqa: BLE001 - an engine raises anything for a file that it cannot read
            notes.append(f"{name} cannot open the export: {_short(error)}")
    if not opened:
        raise ModelNotServable(f"{served.name} cannot be loaded. {' '.join(notes)}", name=served.name)
    image = _image(next(iter(opened.values())))
    notes += _drop_those_that_differ(opened, image, served)
    milliseconds = _measured(opened, [image])
    chosen = min(milliseconds, key=milliseconds.__getitem__)
    batched = {chosen: _measured({chosen: opened[chosen]}, [image] * BATCH)[chosen] / BATCH}
    shared = opened[chosen]
    alone = shared
    alone_ms = None
    if threads > 1 and shared.device == "cpu":
        alone = ExportPredictor(file, engine=open_on(threads=threads, name=chosen))
        alone_ms = _measured({chosen: alone}, [image])[chosen]
    gains = batched[chosen] < BATCHING_GAIN * milliseconds[chosen]
    return LoadedModel(
        served=served,
        alone=alone,
        shared=shared,
        lone=Lone(shared_ms=milliseconds[chosen], alone_ms=alone_ms),
        choice=Choice(chosen, shared.device, milliseconds, batched, gains and shared.device != "cpu", tuple(notes)),
        bytes=int(MEMORY_TIMES * served.bytes * (1 if alone is shared else 2)),
        loaded_at=now,
        load_seconds=perf_counter() - started,
        used_at=now,
    )


def _allowed(served: Served, engine: str) -> tuple[str, ...]:
    """The engine of the certificate first. Only OpenVINO reads its own format."""
    if served.format == "openvino":
        return ("openvino",)
    if engine != "auto":
        return (engine,)
    # The integers of another engine are other ones.
    return ("onnxruntime", "openvino") if served.precision == "fp32" else ("onnxruntime",)


def _image(predictor: ExportPredictor) -> bytes:
    """A JPEG of noise over shapes, a little larger than the input, so that nothing is skipped."""
    wanted = predictor.metadata.preprocessing
    rng = np.random.default_rng(0)
    height, width = wanted.height * 5 // 4, wanted.width * 3 // 2
    coarse = rng.integers(0, 255, (8, 12, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()


def _drop_those_that_differ(opened: dict[str, ExportPredictor], image: bytes, served: Served) -> list[str]:
    """Of several engines, those whose outputs for the same input differ by more than the certificate allows."""
    names = list(opened)
    if len(names) < 2:
        return []
    batch = np.stack([opened[names[0]].prepare(image).values] * 2)
    wanted = opened[names[0]].raw(batch)
    bound = BOUNDS[cast(Precision, served.precision)].output
    notes = []
    for name in names[1:]:
        try:
            found = opened[name].raw(batch)
        except EngineFailed as error:
            del opened[name]
            notes.append(f"{name} is not used: {_short(error)}")
            continue
        largest = float(np.abs(found - wanted).max()) if found.shape == wanted.shape else float("inf")
        if not largest <= bound * max(1.0, float(np.abs(wanted).max())):
            del opened[name]
            notes.append(f"{name} is not used: its outputs differ by {largest:.3g}.")
    return notes


def _measured(predictors: dict[str, ExportPredictor], images: list[bytes]) -> dict[str, float]:
    """Milliseconds of a call, in turns: the median, after some that do not count."""
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for turn in range(WARM_RUNS + MEASURED_RUNS):
        for name, predictor in predictors.items():
            started = perf_counter()
            predictor.predict(images)
            if turn >= WARM_RUNS:
                times[name].append(1e3 * (perf_counter() - started))
    return {name: round(median(values), 3) for name, values in times.items()}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
