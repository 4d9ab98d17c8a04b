"""A prediction from the name of a model and bytes of images, and its JSON."""

from collections.abc import Mapping, Sequence

from core import clock
from core.domain.errors import RequestInvalid
from http_common.prediction_schemas import Answer, AnsweringModel, Box, ImageAnswer, Label
from pipeline.dataset.predictions import PredictedBox
from pipeline.predictor.predictor import Prediction, PredictionFailed
from pipeline.predictor.tile_options import TilesInvalid, require_options
from pipeline.receipts.schema import Receipt, ReceiptModel, ReceiptOptions
from pipeline.receipts.write import receipt_of
from serving.models.loading import SHARED_THREADS, LoadedModel
from serving.models.residency import LATENCIES
from serving.pool import Answered, Options
from serving.state import Serving


async def answer(
    serving: Serving, name: str, images: Sequence[bytes], options: Options, *, receipt: bool
) -> tuple[Answer, list[Answered]]:
    """Raises what `Models.use` raises, and QueueFull. An image that cannot be predicted fails alone."""
    wanted = clock.monotonic()
    async with serving.models.use(name) as model:
        _require_detector(model, options)
        started = clock.monotonic()
        was_there = model.loaded_at + model.load_seconds < wanted
        loading = {} if was_there else {"loading": round(1e3 * (started - wanted), 3)}
        results = await serving.pool.predict(model, list(images), options, by_itself=receipt)
        serving.metrics.note(results)
        _count(model, results, 1e3 * (clock.monotonic() - started))
        found = Answer(model=_about(model, name), images=[_image(each, loading) for each in results])
        if receipt:
            found.receipt = await serving.pool.run(_receipt, model, images, options, results)  # it hashes the images
    return found, results


def _require_detector(model: LoadedModel, options: Options) -> None:
    if options.tile is None:
        return
    try:
        require_options(model.shared.metadata.kind, tile=options.tile, overlap=options.overlap)
    except TilesInvalid as error:
        raise RequestInvalid(str(error), errors=[{"field": "tile", "message": str(error)}]) from error


def _receipt(model: LoadedModel, images: Sequence[bytes], options: Options, results: Sequence[Answered]) -> Receipt:
    served = model.served
    return receipt_of(
        ReceiptModel(
            name=served.name,
            version_id=served.version_id,
            export_id=served.export_id,
            sha256=served.sha256,
            format=served.format,
            precision=served.precision,
        ),
        model.shared,
        ReceiptOptions(
            confidence=options.min_score, iou=options.iou, top=options.top, tile=options.tile, overlap=options.overlap
        ),
        images,
        [each.result for each in results],
        threads=SHARED_THREADS,
    )


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


def _image(answered: Answered, loading: Mapping[str, float]) -> ImageAnswer:
    """`loading`: the stage before the others, where there was one."""
    result = answered.result
    if isinstance(result, PredictionFailed):
        return ImageAnswer(error=result.reason)
    return ImageAnswer(
        width=result.width,
        height=result.height,
        orientation=result.orientation,
        boxes=list(map(_box, result.boxes)),
        labels=[Label(label=each.label, class_index=each.class_index, score=each.score) for each in result.labels],
        tiles=result.tiles,
        milliseconds={**loading, "queued": round(answered.queued_ms, 3), **_rounded(result)},
    )


def _box(box: PredictedBox) -> Box:
    corners = {"x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2}
    return Box(label=box.label, class_index=box.class_index, score=box.score, **corners)


def _rounded(result: Prediction) -> dict[str, float]:
    return {name: round(value, 3) for name, value in result.milliseconds.items()}


def _count(model: LoadedModel, results: Sequence[Answered], milliseconds: float) -> None:
    model.requests += 1
    model.failed += sum(isinstance(each.result, PredictionFailed) for each in results)
    model.latencies.append(milliseconds)
    if len(model.latencies) > 2 * LATENCIES:
        del model.latencies[:LATENCIES]
