"""A prediction from the name of a model and bytes of images, and its JSON."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core import clock
from core.domain.errors import RequestInvalid
from core.domain.version import VERSION
from http_common.prediction_schemas import Answer, AnsweringModel, Box, ImageAnswer, Label
from pipeline.predictor.libraries import library_versions
from pipeline.predictor.predictor import Prediction, PredictionFailed
from pipeline.predictor.tile_options import TilesInvalid, require_options
from serving.models.loading import LoadedModel
from serving.models.residency import LATENCIES
from serving.pool import Answered, Options
from serving.state import Serving


async def answer(
    serving: Serving, name: str, images: Sequence[bytes], options: Options, *, receipt: bool
) -> tuple[Answer, list[Answered]]:
    """Raises what `Models.use` raises, and QueueFull. An image that cannot be predicted fails alone."""
    async with serving.models.use(name) as model:
        _require_detector(model, options)
        started = clock.monotonic()
        results = await serving.pool.predict(model, list(images), options)
        _count(model, results, 1e3 * (clock.monotonic() - started))
        found = Answer(model=_about(model, name), images=[_image(each) for each in results])
        if receipt:
            found.receipt = receipt_of(model, images, options, results)
    return found, results


def _require_detector(model: LoadedModel, options: Options) -> None:
    if options.tile is None:
        return
    try:
        require_options(model.shared.metadata.kind, tile=options.tile, overlap=options.overlap)
    except TilesInvalid as error:
        raise RequestInvalid(str(error), errors=[{"field": "tile", "message": str(error)}]) from error


def receipt_of(
    model: LoadedModel, images: Sequence[bytes], options: Options, results: Sequence[Answered]
) -> dict[str, Any]:
    """What makes the same answer again: see `pipeline.predictor.replay`."""
    metadata = model.shared.metadata
    return {
        "schema": 1,
        "model": {
            "name": model.served.name,
            "version_id": model.served.version_id,
            "export_id": model.served.export_id,
            "sha256": model.served.sha256,
        },
        "images": [
            {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "answer": _result(each)}
            for content, each in zip(images, results, strict=True)
        ],
        "preprocessing": asdict(metadata.preprocessing),
        "output": asdict(metadata.output),
        "options": asdict(options),
        "engine": model.shared.engine,
        "precision": model.shared.precision,
        "versions": {"darkroom": VERSION, **library_versions()},
        "at": clock.now().isoformat(),
    }


def _result(answered: Answered) -> dict[str, Any]:
    return _image(answered).model_dump(include={"error", "width", "height", "orientation", "boxes", "labels"})


def _about(model: LoadedModel, requested: str) -> AnsweringModel:
    served = model.served
    return AnsweringModel(
        name=served.name,
        requested=requested,
        version_id=served.version_id,
        export_id=served.export_id,
        sha256=served.sha256,
        format=served.format,
        engine=model.shared.engine,
        precision=model.shared.precision,
    )


def _image(answered: Answered) -> ImageAnswer:
    result = answered.result
    if isinstance(result, PredictionFailed):
        return ImageAnswer(error=result.reason)
    return ImageAnswer(
        width=result.width,
        height=result.height,
        orientation=result.orientation,
        boxes=[Box(**asdict(box)) for box in result.boxes],
        labels=[Label(**asdict(label)) for label in result.labels],
        tiles=result.tiles,
        milliseconds={"queued": round(answered.queued_ms, 3), **_rounded(result)},
    )


def _rounded(result: Prediction) -> dict[str, float]:
    return {name: round(value, 3) for name, value in result.milliseconds.items()}


def _count(model: LoadedModel, results: Sequence[Answered], milliseconds: float) -> None:
    model.requests += 1
    model.failed += sum(isinstance(each.result, PredictionFailed) for each in results)
    model.latencies.append(milliseconds)
    if len(model.latencies) > 2 * LATENCIES:
        del model.latencies[:LATENCIES]
