"""The predictions of a split beside what was to be found, and F1 by confidence, for every kind of model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.split_predictions import SplitPredictions

Array = NDArray[np.float64]
CONFIDENCES = np.arange(1, 1000) / 1000  # boxes below 0.001 are in no evaluation


@dataclass(frozen=True, slots=True)
class MatchedPredictions:
    """M predictions: `scores`, `classes` (indices) and whether each is `correct`. `wanted` (classes,): how many of each
    class there are to be found."""

    scores: Array
    classes: NDArray[np.int_]
    correct: NDArray[np.bool_]
    wanted: NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one class, of the predictions above its threshold. A class that is never predicted has precision 0."""

    precision: float
    recall: float
    f1: float


def matched_boxes(images: Sequence[ImageBoxes], classes: int) -> MatchedPredictions:
    """Boxes, matched at IoU 0.5 as for mAP50."""
    rows = np.concatenate([np.zeros((0, 2)), *(image.predicted[:, 4:6] for image in images)])
    truths = np.concatenate([np.zeros(0), *(image.truth[:, 0] for image in images)])
    correct = np.concatenate([np.zeros(0, bool), *(image.correct[:, 0] for image in images)])
    wanted = np.bincount(truths.astype(int), minlength=classes)
    return MatchedPredictions(rows[:, 0], rows[:, 1].astype(int), correct, wanted)


def matched_labels(predictions: SplitPredictions) -> MatchedPredictions:
    """One prediction for each image: its most probable class, with that probability."""
    predicted = predictions.predicted
    return MatchedPredictions(
        scores=predictions.probabilities.max(axis=1),
        classes=predicted,
        correct=predicted == predictions.labels,
        wanted=np.bincount(predictions.labels, minlength=len(predictions.classes)),
    )


def f1_by_confidence(matched: MatchedPredictions) -> Array:
    """(classes, confidences): F1 of the predictions of each class whose score is above each of CONFIDENCES.

    F1 = 2 TP / (2 TP + FP + FN) = 2 TP / (predicted + wanted), van Rijsbergen, Information Retrieval, 1979, chapter 7.
    0 for a class of which there is nothing to be found.
    """
    curves = np.zeros((len(matched.wanted), len(CONFIDENCES)))
    for index in np.flatnonzero(matched.wanted):
        mine = matched.classes == index
        predicted = _above(matched.scores[mine])
        correct = _above(matched.scores[mine & matched.correct])
        curves[index] = 2 * correct / (predicted + matched.wanted[index])
    return curves


def coverage_above(matched: MatchedPredictions, thresholds: Sequence[float]) -> tuple[float, float | None]:
    """The share of predictions above the thresholds of their classes, and how many of those are correct, as a share.

    Of a classifier: its coverage, and its accuracy where it is sure (El-Yaniv and Wiener, On the Foundations of
    Noise-free Selective Classification, 2010). None where no prediction is above.
    """
    above = matched.scores > np.asarray(thresholds, float)[matched.classes]
    return float(above.mean()), float(matched.correct[above].mean()) if above.any() else None


def figures_above(matched: MatchedPredictions, thresholds: Sequence[float]) -> list[Figures | None]:
    """For each class, of its predictions above its own threshold. None for a class with nothing to be found."""
    above = matched.scores > np.asarray(thresholds, float)[matched.classes]
    size = len(matched.wanted)
    predicted = np.bincount(matched.classes[above], minlength=size)
    correct = np.bincount(matched.classes[above & matched.correct], minlength=size)
    return [
        _figures(int(right), int(listed), int(wanted)) if wanted else None
        for right, listed, wanted in zip(correct, predicted, matched.wanted, strict=True)
    ]


def _above(scores: Array) -> NDArray[np.int_]:
    """How many are above each of CONFIDENCES."""
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), CONFIDENCES, side="right"))


def _figures(correct: int, predicted: int, wanted: int) -> Figures:
    return Figures(correct / predicted if predicted else 0.0, correct / wanted, 2 * correct / (predicted + wanted))
