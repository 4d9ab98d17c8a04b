"""A batch: the model and the images -> predictions in threads -> files, image by image, in the order of the images."""

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from core.domain.errors import DarkroomError, NothingToPredict, OperationFailed
from pipeline.archive.disk_space import require_space
from pipeline.batch.answered import Answered
from pipeline.batch.files import BatchFiles
from pipeline.batch.images import BatchImage, images_of
from pipeline.batch.summary import Summary
from pipeline.predictor.engines import EngineFailed
from pipeline.predictor.metadata import MetadataInvalid
from pipeline.predictor.predictor import MAX_BATCH, ExportPredictor, NotComputed, Prediction, PredictionFailed
from pipeline.process.progress import StageReporter
from pipeline.process.results import BatchPredicted
from pipeline.process.specs import PredictBatchSpec

ARTIFACTS = "artifacts"
WAITING = 2  # pieces of work for each thread: what is in memory

Numbered = tuple[int, BatchImage]
Result = Prediction | PredictionFailed


def predict_batch(spec: PredictBatchSpec, steps: StageReporter) -> BatchPredicted:
    """Leaves the files in `out/artifacts`. An image that cannot be predicted fails alone, also where the engine fails
    on it; where it fails on all that could be decoded, the operation does.

    Raises NothingToPredict, ParamsInvalid, ArchiveRefused, OutOfSpace, OperationFailed, RunCancelled.
    """
    folder = spec.out / ARTIFACTS
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _predicted(spec, folder, steps)
    except (DarkroomError, MemoryError, OSError):
        raise
    except Exception as error:  # of any library; the operation ends with its name, the log has the rest
        traceback.print_exc()
        raise OperationFailed(f"{type(error).__name__}: {error}"[:2000]) from error


def _predicted(spec: PredictBatchSpec, folder: Path, steps: StageReporter) -> BatchPredicted:
    steps.stage("loading")
    predictor = ExportPredictor(spec.model)
    steps.stage("reading")
    images = images_of(spec, steps)
    if not images:
        raise NothingToPredict("There are no images: send JPEG, PNG or other images, by names that end so.")
    if spec.labelled:
        require_space(folder, sum(image.size for image in images))
    steps.stage("predicting")
    started, summary = perf_counter(), Summary()
    with BatchFiles(folder, model=spec.name, metadata=predictor.metadata, labelled=spec.labelled) as files:
        for answered in _answers(predictor, images, spec):
            files.add(answered)
            summary.add(answered)
            steps.tick(summary.images, len(images))
        if summary.not_computed and not summary.is_any_predicted:
            raise OperationFailed(f"No image could be predicted. {summary.not_computed}"[:2000])
        steps.stage("writing")
    content = summary.as_json(kind=predictor.metadata.kind, seconds=perf_counter() - started)
    return BatchPredicted(summary={**content, "engine": predictor.engine, "precision": predictor.precision})


def _answers(predictor: ExportPredictor, images: Sequence[BatchImage], spec: PredictBatchSpec) -> Iterator[Answered]:
    """In the order of the images. Every thread predicts one image; a GPU gets whole batches."""
    size = 1 if predictor.device == "cpu" else MAX_BATCH
    with ThreadPoolExecutor(spec.threads, thread_name_prefix="predict") as pool:
        running: deque[Future[list[Answered]]] = deque()
        try:
            for start in range(0, len(images), size):
                work = list(enumerate(images[start : start + size], start=start + 1))
                running.append(pool.submit(_answered, predictor, work, spec))
                if len(running) >= WAITING * spec.threads:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _answered(predictor: ExportPredictor, work: Sequence[Numbered], spec: PredictBatchSpec) -> list[Answered]:
    failures = {number: _unreadable(image, spec.image_max_bytes) for number, image in work}
    contents = {number: image.content() for number, image in work if not failures[number]}
    options: dict[str, Any] = {"min_score": spec.confidence, "iou": spec.iou, "top": spec.top}
    computed = partial(predictor.predict, **options, tile=spec.tile, overlap=spec.overlap)
    results = dict(zip(contents, _computed(computed, list(contents.values())), strict=True))
    return [
        Answered(number, image, contents.get(number, b""), results.get(number) or PredictionFailed(failures[number]))
        for number, image in work
    ]


def _computed(predict: Callable[[list[bytes]], list[Result]], contents: list[bytes]) -> list[Result]:
    """Where the engine fails on several together, one by one: what makes it fail may be one of them."""
    try:
        return predict(contents)
    except (EngineFailed, MetadataInvalid) as error:
        if len(contents) > 1:
            return [result for each in contents for result in _computed(predict, [each])]
        return [NotComputed(str(error))]


def _unreadable(image: BatchImage, max_bytes: int) -> str:
    """Why it is not even decoded; empty where it is."""
    if image.failure:
        return image.failure
    return f"The image has more than {max_bytes} bytes." if image.size > max_bytes else ""
