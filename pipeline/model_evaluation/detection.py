"""A detector on a split: its boxes matched with the true ones image by image, and its figures from what was counted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset.predictions import PredictedBox
from pipeline.evaluation.bootstrap import intervals_of_precision
from pipeline.evaluation.box_confusion import confusion_as_json, count_pairs
from pipeline.evaluation.class_match import ClassMatch
from pipeline.evaluation.detection_metrics import ImageBoxes, ScoredBoxes, metrics_of_boxes, scored_boxes
from pipeline.evaluation.image_results import BoxTable
from pipeline.evaluation.matched_predictions import MatchedPredictions
from pipeline.evaluation.thresholds import Thresholds
from pipeline.model_evaluation.models import MeasuredModel
from pipeline.model_evaluation.split_images import SplitImage
from pipeline.plots.grid import Sample
from pipeline.process.progress import StageReporter

WRITTEN_SCORE = 0.01  # boxes below it are counted, and not written: there are hundreds of them in each image
FIGURES = ("mAP50-95", "mAP50", "precision", "recall", "f1")
MAIN = "mAP50-95"

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeasuredBoxes:
    """Of all images, in the classes that model and dataset share."""

    boxes: ScoredBoxes
    confusion: NDArray[np.int_]
    milliseconds: float  # of an image
    truth: BoxTable
    listed: BoxTable  # above the thresholds


def measure_detector(
    model: MeasuredModel,
    images: Sequence[SplitImage],
    match: ClassMatch,
    thresholds: Thresholds,
    target: Path,
    steps: StageReporter,
) -> MeasuredBoxes:
    """Writes predictions.jsonl to `target`. Raises RunCancelled, ImageUnreadable."""
    size = len(match.shared)
    confusion = np.zeros((size + 1, size + 1), int)
    least = np.asarray(thresholds.of(match.shared), float)
    parts, truths, listed, seconds = [], [], [], 0.0
    with target.open("w", encoding="utf-8") as file:
        for done, image in enumerate(images, start=1):
            started = perf_counter()
            found = model.measured(image.content())
            seconds += perf_counter() - started
            file.write(_line(image.path, found, model.classes))
            boxes = _in_shared_classes(image, found, match)
            count_pairs(boxes, confusion)
            parts.append(scored_boxes([boxes], size))
            truths.append(boxes.truth)
            listed.append(boxes.predicted[boxes.predicted[:, 4] > least[boxes.predicted[:, 5].astype(int)]])
            steps.tick(done, len(images))
    return MeasuredBoxes(
        boxes=_joined(parts),
        confusion=confusion,
        milliseconds=1e3 * seconds / len(images),
        truth=_table(truths, classes=0, corners=slice(1, 5), scores=None),
        listed=_table(listed, classes=5, corners=slice(0, 4), scores=4),
    )


def figures_of(boxes: ScoredBoxes, classes: Sequence[str]) -> dict[str, Any]:
    """FIGURES by name, how many `images`, and intervals."""
    found = metrics_of_boxes(boxes, classes)
    intervals = {name: interval.as_json() for name, interval in intervals_of_precision(boxes).items()}
    return {
        "images": len(boxes.wanted),
        **{name: found[name] for name in FIGURES},
        "intervals": intervals,
    }


def split_metrics(measured: MeasuredBoxes, classes: Sequence[str]) -> dict[str, Any]:
    """As a training writes them into metrics.json, of one split."""
    found = metrics_of_boxes(measured.boxes, classes)
    wanted = measured.boxes.wanted
    images, instances = (wanted > 0).sum(axis=0), wanted.sum(axis=0)
    per_class = {
        name: {
            **{key: value for key, value in found["per_class"][name].items() if key != "min_score"},
            "images": int(images[index]),
            "instances": int(instances[index]),
        }
        for index, name in enumerate(classes)
    }
    return {
        **found,
        "images": len(wanted),
        "boxes": int(wanted.sum()),
        "per_class": per_class,
        "speed": {"unit": "ms per image", "whole": round(measured.milliseconds, 3)},
        "confusion_matrix": confusion_as_json(measured.confusion, classes),
    }


def matched(boxes: ScoredBoxes) -> MatchedPredictions:
    """At IoU 0.5, for the figures above the thresholds."""
    return MatchedPredictions(
        np.asarray(boxes.scores, float), boxes.classes.astype(int), boxes.correct[:, 0], boxes.wanted.sum(axis=0)
    )


def errors_of_images(boxes: ScoredBoxes, thresholds: Sequence[float]) -> NDArray[np.int_]:
    """(N,): boxes that are missed and boxes that are false, above the thresholds of their classes."""
    listed = boxes.scores > np.asarray(thresholds, float)[boxes.classes]
    right = listed & boxes.correct[:, 0]
    size = len(boxes.wanted)
    counted = [np.bincount(boxes.images[chosen], minlength=size) for chosen in (right, listed & ~right)]
    return np.asarray(boxes.wanted.sum(axis=1) - counted[0] + counted[1])


def draw_sample(model: MeasuredModel, image: SplitImage, match: ClassMatch, thresholds: Thresholds) -> Sample:
    """The image with its true boxes, and with those above their thresholds."""
    boxes = _in_shared_classes(image, model.measured(image.content()), match)
    least = thresholds.of(match.shared)
    truth = [_box(match, int(row[0]), 1.0, row[1:]) for row in boxes.truth]
    found = [_box(match, int(row[5]), float(row[4]), row[:4]) for row in boxes.predicted if row[4] > least[int(row[5])]]
    return Sample(image.file, tuple(truth), tuple(found))


def _box(match: ClassMatch, index: int, score: float, corners: Array) -> PredictedBox:
    x1, y1, x2, y2 = map(float, corners)
    return PredictedBox(match.shared[index], index, score, x1, y1, x2, y2)


def _in_shared_classes(image: SplitImage, found: NDArray[np.float32], match: ClassMatch) -> ImageBoxes:
    """Without the true boxes of classes that the model lacks, and without the boxes of those that the dataset lacks."""
    truth, predicted = image.boxes.copy(), found.astype(float)
    truth[:, 0] = match.of_dataset()[truth[:, 0].astype(int)]
    predicted[:, 5] = match.of_model()[predicted[:, 5].astype(int)]
    return ImageBoxes(truth[truth[:, 0] >= 0], predicted[predicted[:, 5] >= 0])


def _joined(parts: Sequence[ScoredBoxes]) -> ScoredBoxes:
    """One image each."""
    return ScoredBoxes(
        images=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.scores) for part in parts]),
        scores=np.concatenate([part.scores for part in parts]).astype(np.float32),
        classes=np.concatenate([part.classes for part in parts]),
        correct=np.concatenate([part.correct for part in parts]),
        wanted=np.concatenate([part.wanted for part in parts]),
    )


def _table(parts: Sequence[Array], *, classes: int, corners: slice, scores: int | None) -> BoxTable:
    """`parts`: rows of each image. The rest: in which columns."""
    rows = np.concatenate(parts)
    return BoxTable(
        images=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
        classes=rows[:, classes].astype(np.int16),
        corners=rows[:, corners],
        scores=np.ones(len(rows)) if scores is None else rows[:, scores],
    )


def _line(path: str, rows: NDArray[np.float32], classes: Sequence[str]) -> str:
    boxes = [
        {"label": classes[int(row[5])], "score": round(float(row[4]), 5), "box": [round(float(v), 2) for v in row[:4]]}
        for row in rows
        if row[4] > WRITTEN_SCORE
    ]
    return json.dumps({"path": path, "boxes": boxes}, ensure_ascii=False) + "\n"
