"""The metrics of a detector on a set of images, from boxes alone, whatever predicted them.

Average precision as ultralytics computes it (utils/metrics.py, compute_ap: the envelope of precision, interpolated at
101 recalls, by the trapezium rule), over IoU 0.5, 0.55, ..., 0.95; precision, recall and F1 at the score of the best
mean F1 over the classes, which is chosen on a curve smoothed over a tenth of its length. A test compares both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SCORES = np.linspace(0, 1, 1000)


@dataclass(frozen=True)
class ImageBoxes:
    """`truth` (N, 5): class, x1, y1, x2, y2. `predicted` (M, 6): x1, y1, x2, y2, score, class. In the same pixels."""

    truth: Array
    predicted: Array

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(M, 10): whether the prediction is the match of a true box of its class, at each IoU of `IOUS`."""
        correct = np.zeros((len(self.predicted), len(IOUS)), bool)
        if not len(self.truth) or not len(self.predicted):
            return correct
        overlaps = pairwise_iou(self.truth[:, 1:5], self.predicted[:, :4])
        overlaps = np.where(self.truth[:, :1] == self.predicted[:, 5], overlaps, 0)
        for column, threshold in enumerate(IOUS):
            correct[_pairs(overlaps, threshold)[:, 1], column] = True
        return correct

    @cached_property
    def partners(self) -> NDArray[np.int_]:
        """(M,): the true box that each prediction is the match of at IoU 0.5, as in `correct`; -1 for none."""
        partners = np.full(len(self.predicted), -1)
        overlaps = pairwise_iou(self.truth[:, 1:5], self.predicted[:, :4])
        pairs = _pairs(np.where(self.truth[:, :1] == self.predicted[:, 5], overlaps, 0), float(IOUS[0]))
        partners[pairs[:, 1]] = pairs[:, 0]
        return partners


@dataclass(frozen=True, slots=True)
class ScoredBoxes:
    """The predicted boxes of N images as columns of M values: `images` and `classes` are indices, `correct` (M, 10) is
    that of ImageBoxes. `wanted` (N, classes): the true boxes of each class in each image.

    24 bytes a box instead of 90, and any part of the images can be measured without matching again."""

    images: NDArray[np.int32]
    scores: NDArray[np.float32] | Array
    classes: NDArray[np.int16]
    correct: NDArray[np.bool_]
    wanted: NDArray[np.int32]

    def of_images(self, chosen: NDArray[np.bool_]) -> "ScoredBoxes":
        """`chosen` (N,). The images that are left are numbered anew."""
        kept = chosen[self.images]
        numbers = (np.cumsum(chosen) - 1).astype(np.int32)[self.images[kept]]
        return ScoredBoxes(numbers, self.scores[kept], self.classes[kept], self.correct[kept], self.wanted[chosen])


@dataclass(frozen=True, slots=True)
class ClassCurves:
    """Of one class: average precision (10), the points of the curve (recall, precision) at IoU 0.5, and precision,
    recall and F1 by score (1000)."""

    precisions: Array
    points: tuple[Array, Array]
    by_score: tuple[Array, Array, Array]


def detection_metrics(images: Sequence[ImageBoxes], classes: Sequence[str]) -> dict[str, Any]:
    """mAP50, mAP50-95, precision, recall, f1 and `min_score`, where the mean F1 over the classes is best; and for each
    class the same. Null where a class has no boxes; all null where none has."""
    return metrics_of_boxes(scored_boxes(images, len(classes)), classes)


def metrics_of_boxes(boxes: ScoredBoxes, classes: Sequence[str]) -> dict[str, Any]:
    """As `detection_metrics`."""
    curves = class_curves(boxes)
    nothing = dict.fromkeys(("mAP50", "mAP50-95", "precision", "recall", "f1", "min_score"))
    if not curves:
        return {**nothing, "per_class": {name: dict(nothing) for name in classes}}
    best = _peak(np.mean([each.by_score[2] for each in curves.values()], axis=0))
    per_class = {
        name: _of_class(curves[index], best) if index in curves else dict(nothing) for index, name in enumerate(classes)
    }
    present = [per_class[classes[index]] for index in curves]
    names = ("mAP50", "mAP50-95", "precision", "recall", "f1")
    overall = {name: _rounded(np.mean([row[name] for row in present])) for name in names}
    return {**overall, "min_score": _rounded(SCORES[best]), "per_class": per_class}


def mean_precision(images: Sequence[ImageBoxes], classes: int) -> float:
    """mAP50-95; 0 without a true box."""
    curves = class_curves(scored_boxes(images, classes))
    return float(np.mean([each.precisions.mean() for each in curves.values()])) if curves else 0.0


def scored_boxes(images: Sequence[ImageBoxes], classes: int) -> ScoredBoxes:
    correct = [np.zeros((0, len(IOUS)), bool), *(image.correct for image in images)]
    rows = np.concatenate([np.zeros((0, 2)), *(image.predicted[:, 4:6] for image in images)])
    wanted = [np.bincount(image.truth[:, 0].astype(int), minlength=classes) for image in images]
    return ScoredBoxes(
        images=np.repeat(np.arange(len(images), dtype=np.int32), [len(image.predicted) for image in images]),
        scores=rows[:, 0],
        classes=rows[:, 1].astype(np.int16),
        correct=np.concatenate(correct),
        wanted=np.array(wanted, np.int32).reshape(-1, classes),
    )


def class_curves(boxes: ScoredBoxes) -> dict[int, ClassCurves]:
    """By the index of each class that has true boxes."""
    counts = boxes.wanted.sum(axis=0)
    found = {}
    for index in np.flatnonzero(counts):
        mine = boxes.classes == index
        found[int(index)] = _curves_of(boxes.scores[mine], boxes.correct[mine], int(counts[index]))
    return found


def pairwise_iou(first: Array, second: Array) -> Array:
    """(N, 4) and (M, 4) corners -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _pairs(overlaps: Array, threshold: float) -> NDArray[np.intp]:
    """(P, 2): row and column of each match, the largest overlap first; each row and each column once."""
    pairs = np.argwhere(overlaps >= threshold)
    if len(pairs):
        pairs = pairs[np.argsort(-overlaps[pairs[:, 0], pairs[:, 1]], kind="stable")]
        pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
        pairs = pairs[np.unique(pairs[:, 0], return_index=True)[1]]
    return pairs


def _curves_of(scores: Array, correct: NDArray[np.bool_], count: int) -> ClassCurves:
    nothing = np.zeros(len(SCORES))
    if not len(scores):
        return ClassCurves(np.zeros(len(IOUS)), (np.zeros(2), np.zeros(2)), (nothing, nothing, nothing))
    order = np.argsort(-scores, kind="stable")
    scores, correct = scores[order], correct[order]
    true = correct.cumsum(axis=0)
    false = (~correct).cumsum(axis=0)
    recall, precision = true / (count + 1e-16), true / (true + false)
    points = [_envelope(recall[:, column], precision[:, column]) for column in range(len(IOUS))]
    precisions = np.array([np.trapezoid(np.interp(RECALLS, *each), RECALLS) for each in points])
    recalls = np.interp(-SCORES, -scores, recall[:, 0], left=0)
    exact = np.interp(-SCORES, -scores, precision[:, 0], left=1)
    return ClassCurves(precisions, points[0], (exact, recalls, 2 * exact * recalls / (exact + recalls + 1e-16)))


def _envelope(recall: Array, precision: Array) -> tuple[Array, Array]:
    """Recall, and the best precision at that recall or a higher one."""
    recall = np.concatenate(([0.0], recall, [recall[-1] if len(recall) else 1.0], [1.0]))
    precision = np.concatenate(([1.0], precision, [0.0], [0.0]))
    return recall, np.flip(np.maximum.accumulate(np.flip(precision)))


def _peak(curve: Array) -> int:
    """The place of the maximum of the curve, smoothed by a box filter over a tenth of it."""
    width = round(len(curve) * 0.1 * 2) // 2 + 1
    ends = np.ones(width // 2)
    padded = np.concatenate((ends * curve[0], curve, ends * curve[-1]))
    return int(np.convolve(padded, np.ones(width) / width, mode="valid").argmax())


def _of_class(curves: ClassCurves, best: int) -> dict[str, float | None]:
    precision, recall, f1 = (float(values[best]) for values in curves.by_score)
    own = _peak(curves.by_score[2])
    return {
        "mAP50": _rounded(curves.precisions[0]),
        "mAP50-95": _rounded(curves.precisions.mean()),
        "precision": _rounded(precision),
        "recall": _rounded(recall),
        "f1": _rounded(f1),
        "min_score": _rounded(SCORES[own]),
    }


def _rounded(value: Any) -> float:
    return round(float(value), 5)
