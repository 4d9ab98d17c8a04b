"""Intervals by a bootstrap over the images, of all resamples at once.

A resample is a weight for each image, how often it was drawn (Efron and Tibshirani, An Introduction to the Bootstrap,
1993). Average precision of a weighted set needs only the weights at the true positives: between two of them the
envelope of precision is that of the second, so its curve is a staircase. A test compares it with the plain computation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection_metrics import IOUS, RECALLS, ScoredBoxes

RESAMPLES, SEED = 400, 0
CONFIDENCE = 0.95
_Z = 1.96  # standard deviations of a normal distribution, for that confidence
FEWEST_RESAMPLES, MOST_WORK = 100, 400_000_000  # box weights in all; 100 resamples still give the ends of an interval
_AT_ONCE = 4_000_000  # weights of boxes in memory

Weights = NDArray[np.int32]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """In which the figure lies with a confidence of 95 %."""

    low: float
    high: float

    def as_json(self) -> list[float]:
        return [round(self.low, 5), round(self.high, 5)]


def intervals_of_precision(boxes: ScoredBoxes) -> dict[str, Interval]:
    """Of mAP50-95 and of mAP50."""
    found = precisions_of_resamples(boxes, draw_resamples(len(boxes.wanted), work=len(boxes.scores)))
    return {"mAP50-95": interval_of(found.mean(axis=1)), "mAP50": interval_of(found[:, 0])}


def interval_of_share(correct: NDArray[np.bool_]) -> Interval:
    """Of the share of N images that are `correct` (N,), such as accuracy: the score interval (Wilson, 1927). Resamples
    of images that are all correct do not differ, however few they are."""
    count, share = len(correct), float(correct.mean())
    spread = _Z * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    middle, scale = share + _Z**2 / (2 * count), 1 + _Z**2 / count
    return Interval(float((middle - spread) / scale), float((middle + spread) / scale))


def interval_of_change(before: ScoredBoxes, after: ScoredBoxes) -> Interval:
    """Of the change of mAP50-95 between two sets of predictions for the same images; both are drawn together."""
    weights = draw_resamples(len(before.wanted), work=len(before.scores) + len(after.scores))
    changes = precisions_of_resamples(after, weights) - precisions_of_resamples(before, weights)
    return interval_of(changes.mean(axis=1))


def draw_resamples(images: int, *, work: int = 0) -> Weights:
    """(R, images): how often each image is drawn. R is RESAMPLES, or fewer for so much `work` in each of them."""
    count = int(np.clip(MOST_WORK // max(work, 1), FEWEST_RESAMPLES, RESAMPLES))
    rng = np.random.default_rng(SEED)
    drawn = np.empty((count, images), np.int32)
    for row in drawn:
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    return drawn


def share_of_resamples(values: Array, weights: Weights) -> Array:
    """(R,): the weighted mean of `values` (N,)."""
    return np.asarray(weights @ values / len(values))


def precisions_of_resamples(boxes: ScoredBoxes, weights: Weights) -> Array:
    """(R, 10): the mean average precision of each resample at each IoU, over the classes that have boxes in it; 0 where
    none has."""
    total, present = np.zeros((len(weights), len(IOUS))), np.zeros(len(weights))
    for _, found in precisions_of_classes(boxes, weights):
        total += np.nan_to_num(found)
        present += ~np.isnan(found[:, 0])
    return np.asarray(total / np.maximum(present, 1)[:, None])


def precisions_of_classes(boxes: ScoredBoxes, weights: Weights) -> Iterator[tuple[int, Array]]:
    """Of each class that has boxes its index, and (R, 10): its average precision in each resample at each IoU; NaN in
    a resample without a box of it."""
    wanted = weights.astype(np.float64) @ boxes.wanted  # (R, classes)
    for index in np.flatnonzero(boxes.wanted.sum(axis=0)):
        found = _of_class(boxes, int(index), weights, wanted[:, index])
        found[wanted[:, index] == 0] = np.nan
        yield int(index), found


def interval_of(figures: Array) -> Interval:
    """`figures` (R,): one of each resample."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(figures, (tail, 1 - tail))
    return Interval(float(low), float(high))


def _of_class(boxes: ScoredBoxes, index: int, weights: Weights, wanted: Array) -> Array:
    """(R, 10); 0 where the resample has no box of the class."""
    mine = np.flatnonzero(boxes.classes == index)
    found = np.zeros((len(weights), len(IOUS)))
    if not len(mine):
        return found
    mine = mine[np.argsort(-boxes.scores[mine], kind="stable")]
    images, correct = boxes.images[mine], boxes.correct[mine]
    last = np.flatnonzero(correct.any(axis=1))
    if not len(last):
        return found
    images, correct = images[: last[-1] + 1], correct[: last[-1] + 1]  # what comes after the last true positive is idle
    step = max(1, _AT_ONCE // len(images))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        drawn = np.ascontiguousarray(weights[part].T)[images]  # (M, R): whole rows are copied and added
        listed = drawn.cumsum(axis=0, dtype=np.int32)
        for each in range(len(IOUS)):
            found[part, each] = _average(drawn, listed, correct[:, each], wanted[part])
    return found


def _average(drawn: Weights, listed: Weights, correct: NDArray[np.bool_], wanted: Array) -> Array:
    """(R,): average precision at one IoU, at RECALLS by the trapezium rule. `drawn`, `listed`: (M, R)."""
    true = np.flatnonzero(correct)
    if not len(true):
        return np.zeros(len(wanted))
    hits = drawn[true].cumsum(axis=0, dtype=np.int32)
    precision = hits / np.maximum(listed[true], 1)
    envelope = np.flip(np.maximum.accumulate(np.flip(precision, axis=0), axis=0), axis=0)
    padded = np.concatenate((envelope, np.zeros((1, len(wanted)))))
    needed = np.floor(wanted[:, None] * RECALLS + 1e-9).astype(np.int64)  # more hits than this are a higher recall
    rows = np.arange(len(wanted))[:, None]
    stride = int(max(hits.max(initial=0), needed.max(initial=0))) + 1
    at = np.searchsorted((hits.T + rows * stride).ravel(), (needed + rows * stride).ravel(), side="right")
    at = np.minimum(at.reshape(needed.shape) - rows * len(true), len(true))
    values = padded[at, rows]
    return np.asarray(np.where(wanted > 0, np.trapezoid(values, RECALLS, axis=1), 0.0))
