"""A model in a file that predicts: the one of the command line, the service, the evaluation of exports and the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.predictor.engines import Engine, open_engine
from pipeline.predictor.images import DecodedImage, ImageUnreadable, decode, ignore_warnings
from pipeline.predictor.metadata import ExportMetadata, MetadataInvalid, Output, read_metadata
from pipeline.predictor.postprocess import OutputInvalid, Rows, boxes_of, probabilities, require_form
from pipeline.predictor.preprocess import Placement, needed_size, prepare
from pipeline.predictor.tile_options import OVERLAP, require_options
from pipeline.predictor.tiles import Tile, merged, part_of, parts_of

TOP = 5
MAX_BATCH = 16  # images: a processor gains nothing by more, and each takes 5 MB at 640 px


@dataclass(frozen=True, slots=True)
class Prediction:
    """`boxes` of a detector, best first; `labels` of a classifier, most probable first. `milliseconds` by stage:
    decode, preprocess, inference (the share of the batch), postprocess. `tiles`: 0 where the model saw only the whole
    image."""

    width: int
    height: int
    orientation: int
    boxes: tuple[PredictedBox, ...]
    labels: tuple[PredictedLabel, ...]
    milliseconds: dict[str, float]
    tiles: int = 0


@dataclass(frozen=True, slots=True)
class PredictionFailed:
    """This image cannot be predicted; the others of its batch are."""

    reason: str


class NotComputed(PredictionFailed):
    """By no fault of the image: the engine cannot run the export on it, for want of memory for instance."""


class PredictionStopped(Exception):
    """Nobody waits for the prediction any more."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """`values`: (3, height, width), what the model gets."""

    values: NDArray[np.float32]
    placement: Placement
    width: int
    height: int
    orientation: int
    milliseconds: dict[str, float]


class ExportPredictor:
    """Raises MetadataInvalid for a file that is no export, EngineFailed for one that the engine cannot load. Safe for
    several threads at once. Warnings of Pillow are switched off in the process.

    `engine`: what runs the file, instead of one by its suffix.
    """

    def __init__(self, file: Path, *, threads: int = 1, engine: Engine | None = None) -> None:
        ignore_warnings()
        self._engine: Engine = engine or open_engine(file, threads=threads)
        self.metadata: ExportMetadata = read_metadata(self._engine.description)
        self.engine = self._engine.name
        self.precision = self._engine.precision
        self.device = self._engine.device
        wanted = self.metadata.preprocessing
        self._at_least = partial(needed_size, wanted=wanted) if wanted.reduce else None

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of each class: the score above which a box is listed by default, or an answer is sure."""
        output = self.metadata.output
        default = output.min_score if self.metadata.kind == "detection" else 0.0
        return output.thresholds or (default,) * len(self.metadata.classes)

    def predict(
        self,
        images: Sequence[bytes],
        *,
        min_score: float | None = None,
        iou: float | None = None,
        top: int = TOP,
        tile: int | None = None,
        overlap: float = OVERLAP,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> list[Prediction | PredictionFailed]:
        """One result for each image, in their order. Images of the same input size go through the model together.

        `min_score`: instead of the thresholds of the export, for boxes of every class; a classifier then lists the
        classes from it up, and otherwise always its most probable ones. `iou`: instead of that of the export. `top`:
        how many classes a classifier lists. `tile`: a detector sees the image also in squares of so many pixels of it,
        each of which shares at least `overlap` of its side, 0 to 0.9, with the next: see `pipeline.predictor.tiles`.
        `is_stopped`: called before each run of the model over tiles.
        Raises EngineFailed, MetadataInvalid where the model does not answer as its description says, TilesInvalid, and
        PredictionStopped.
        """
        if tile is not None:
            require_options(self.metadata.kind, tile=tile, overlap=overlap)
            output = self._output(min_score, iou)
            return [self._predict_tiles(content, output, tile, overlap, is_stopped) for content in images]
        batches = [images[start : start + MAX_BATCH] for start in range(0, len(images), MAX_BATCH)]
        return [
            result for batch in batches for result in self._predict_batch(batch, min_score=min_score, iou=iou, top=top)
        ]

    def prepare(self, content: bytes) -> PreparedImage:
        """Decoded and in the model's form: the first half of `predict`. Raises ImageUnreadable."""
        started = perf_counter()
        return self._prepared(decode(content, at_least=self._at_least), since=started)

    def predict_prepared(
        self,
        images: Sequence[PreparedImage],
        *,
        min_score: float | None = None,
        iou: float | None = None,
        top: int = TOP,
    ) -> list[Prediction | PredictionFailed]:
        """The second half of `predict`, in one run of the model: at most MAX_BATCH images of one input size."""
        results = self._run(images, self._output(min_score, iou), top)
        return results if min_score is None else [_listed_from(min_score, result) for result in results]

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, 3, height, width) -> the output of the model as it is. Raises EngineFailed."""
        return self._engine.run(batch)

    def check_input(self, batch: NDArray[np.float32]) -> None:
        """Raises MetadataInvalid for an array that the model does not take."""
        wanted = self.metadata.preprocessing
        sides = batch.shape[2:]
        longest = max(wanted.height, wanted.width)
        fits = sides == (wanted.height, wanted.width) or (
            wanted.stride > 0 and all(0 < side <= longest and side % wanted.stride == 0 for side in sides)
        )
        if batch.ndim != 4 or not len(batch) or batch.shape[1] != 3 or not fits:
            shape = f"(batch, 3, {wanted.height}, {wanted.width})"
            raise MetadataInvalid(f"The model takes {shape}; the array has the shape {batch.shape}.")

    def _output(self, min_score: float | None, iou: float | None) -> Output:
        """That of the export, with what is asked for instead."""
        output = self.metadata.output
        thresholds = self.thresholds if min_score is None else (min_score,) * len(self.metadata.classes)
        return replace(output, thresholds=thresholds, iou=output.iou if iou is None else iou)

    def _prepared(self, image: DecodedImage, *, since: float) -> PreparedImage:
        decoded = perf_counter()
        values, placement = prepare(image, self.metadata.preprocessing)
        times = {"decode": 1e3 * (decoded - since), "preprocess": 1e3 * (perf_counter() - decoded)}
        return PreparedImage(values, placement, image.width, image.height, image.orientation, times)

    def _predict_batch(
        self, images: Sequence[bytes], *, min_score: float | None, iou: float | None, top: int
    ) -> list[Prediction | PredictionFailed]:
        results: list[Prediction | PredictionFailed] = [PredictionFailed("")] * len(images)
        by_size: dict[tuple[int, ...], list[tuple[int, PreparedImage]]] = {}
        for index, content in enumerate(images):
            try:
                prepared = self.prepare(content)
            except ImageUnreadable as error:
                results[index] = PredictionFailed(str(error))
                continue
            by_size.setdefault(prepared.values.shape, []).append((index, prepared))
        for group in by_size.values():
            found = self.predict_prepared([one for _, one in group], min_score=min_score, iou=iou, top=top)
            for (index, _), result in zip(group, found, strict=True):
                results[index] = result
        return results

    def _predict_tiles(
        self, content: bytes, output: Output, tile: int, overlap: float, is_stopped: Callable[[], bool]
    ) -> Prediction | PredictionFailed:
        started = perf_counter()
        try:
            image = decode(content)
            groups = parts_of(image.width, image.height, tile=tile, overlap=overlap, wanted=self.metadata.preprocessing)
            if not groups:
                return self._run([self._prepared(image, since=started)], output, TOP)[0]
            times = {"decode": 1e3 * (perf_counter() - started), "preprocess": 0.0, "inference": 0.0}
            found: list[tuple[Tile, Rows]] = []
            for group in groups:
                if is_stopped():
                    raise PredictionStopped
                found += self._boxes_of_parts(image, group, output, times)
        except (ImageUnreadable, OutputInvalid) as error:
            return PredictionFailed(str(error))
        merging = perf_counter()
        boxes = self._boxes(merged(found, (image.width, image.height), iou=output.iou))
        times["postprocess"] = 1e3 * (perf_counter() - merging)
        return Prediction(image.width, image.height, image.orientation, boxes, (), times, tiles=len(found) - 1)

    def _boxes_of_parts(
        self, image: DecodedImage, parts: Sequence[Tile], output: Output, times: dict[str, float]
    ) -> list[tuple[Tile, Rows]]:
        """Of one run of the model. Adds to `times`. Raises OutputInvalid."""
        ready = [self._prepared(part_of(image, each), since=perf_counter()) for each in parts]
        raw, share = self._outputs(ready, output)
        times["preprocess"] += sum(each.milliseconds["preprocess"] for each in ready)
        times["inference"] += share * len(parts)
        height, width = ready[0].values.shape[1:]
        found = [boxes_of(rows, output, each.placement, (width, height)) for rows, each in zip(raw, ready, strict=True)]
        return list(zip(parts, found, strict=True))

    def _run(self, group: Sequence[PreparedImage], output: Output, top: int) -> list[Prediction | PredictionFailed]:
        raw, share = self._outputs(group, output)
        return [self._result(ready, rows, output, top, share) for ready, rows in zip(group, raw, strict=True)]

    def _outputs(self, group: Sequence[PreparedImage], output: Output) -> tuple[NDArray[np.float32], float]:
        """Of one run of the model, and the milliseconds that each image took."""
        started = perf_counter()
        batch = group[0].values[None] if len(group) == 1 else np.stack([ready.values for ready in group])
        raw = self._engine.run(batch)
        require_form(raw, images=len(group), output=output, classes=len(self.metadata.classes))
        return raw, 1e3 * (perf_counter() - started) / len(group)

    def _result(
        self, ready: PreparedImage, rows: NDArray[np.float32], output: Output, top: int, inference_ms: float
    ) -> Prediction | PredictionFailed:
        started = perf_counter()
        boxes: tuple[PredictedBox, ...] = ()
        labels: tuple[PredictedLabel, ...] = ()
        try:
            if self.metadata.kind == "detection":
                height, width = ready.values.shape[1:]
                boxes = self._boxes(boxes_of(rows, output, ready.placement, (width, height)))
            else:
                labels = self._labels(probabilities(rows, output.form), output.thresholds, top)
        except OutputInvalid as error:
            return PredictionFailed(str(error))
        times = {**ready.milliseconds, "inference": inference_ms, "postprocess": 1e3 * (perf_counter() - started)}
        return Prediction(ready.width, ready.height, ready.orientation, boxes, labels, times)

    def _boxes(self, rows: NDArray[np.float32]) -> tuple[PredictedBox, ...]:
        names = self.metadata.classes
        return tuple(
            PredictedBox(names[int(index)], int(index), float(score), *map(float, corners))
            for *corners, score, index in rows
        )

    def _labels(self, scores: NDArray[np.float64], thresholds: Sequence[float], top: int) -> tuple[PredictedLabel, ...]:
        names = self.metadata.classes
        best = map(int, np.argsort(-scores, kind="stable")[:top])
        return tuple(PredictedLabel(names[index], index, float(scores[index]), thresholds[index]) for index in best)


def _listed_from(min_score: float, result: Prediction | PredictionFailed) -> Prediction | PredictionFailed:
    if isinstance(result, PredictionFailed):
        return result
    return replace(result, labels=tuple(label for label in result.labels if label.score >= min_score))
