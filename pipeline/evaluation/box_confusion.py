"""The confusion matrix of a detector and its curves, from boxes alone: as ultralytics counts and draws them.

A predicted box takes the true one that it overlaps most, if their IoU is above MIN_IOU, whatever the classes; the one
of the highest score chooses first (utils/metrics.py, ConfusionMatrix). What is left of either side is paired with the
background.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection_metrics import SCORES, ImageBoxes, ScoredBoxes, class_curves, pairwise_iou

MIN_SCORE = 0.25  # boxes above it are counted
MIN_IOU = 0.45
CURVE_POINTS = 101  # of 1000: one per hundredth


def count_pairs(image: ImageBoxes, matrix: NDArray[np.int_]) -> None:
    """Adds the boxes of one image to `matrix` (classes + 1, classes + 1): rows are the ground truth, columns the
    predictions, the last of each the background."""
    for row, column in confused_pairs(image, background=len(matrix) - 1):
        matrix[row, column] += 1


def confused_pairs(image: ImageBoxes, *, background: int) -> list[tuple[int, int]]:
    """The class of each true box with that of the predicted box that takes it; `background` for what is left."""
    listed = image.predicted[image.predicted[:, 4] > MIN_SCORE]
    listed = listed[np.argsort(-listed[:, 4], kind="stable")]
    truth, found = image.truth[:, 0].astype(int), listed[:, 5].astype(int)
    pairs = _pairs(pairwise_iou(image.truth[:, 1:5], listed[:, :4]))
    rows = [*truth[pairs[:, 0]], *np.delete(truth, pairs[:, 0]), *[background] * (len(found) - len(pairs))]
    columns = [*found[pairs[:, 1]], *[background] * (len(truth) - len(pairs)), *np.delete(found, pairs[:, 1])]
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def confusion_as_json(matrix: NDArray[np.int_], classes: Sequence[str]) -> dict[str, Any]:
    return {
        "labels": [*classes, "background"],
        "rows": "true",
        "columns": "predicted",
        "min_score": MIN_SCORE,
        "min_iou": MIN_IOU,
        "matrix": matrix.tolist(),
    }


def detection_curves(boxes: ScoredBoxes, classes: Sequence[str]) -> dict[str, Any]:
    """Per class with boxes: precision by recall, and precision, recall and F1 by confidence; as in curves.json."""
    at = np.linspace(0, len(SCORES) - 1, CURVE_POINTS).round().astype(int)
    found = {}
    for index, curves in class_curves(boxes).items():
        precision, recall, f1 = curves.by_score
        series = {
            "precision_by_recall": np.interp(SCORES, *curves.points),
            "precision_by_score": precision,
            "recall_by_score": recall,
            "f1_by_score": f1,
        }
        found[classes[index]] = {name: values[at].round(5).tolist() for name, values in series.items()}
    return {"x": SCORES[at].round(4).tolist() if found else [], "classes": found}


def _pairs(overlaps: NDArray[np.float64]) -> NDArray[np.intp]:
    """(P, 2): rows and columns, each of them once. The columns choose in their order."""
    left = overlaps.copy()
    pairs = []
    for column in np.flatnonzero((overlaps > MIN_IOU).any(axis=0)):
        row = int(left[:, column].argmax())
        if left[row, column] > MIN_IOU:
            pairs.append((row, column))
            left[row] = 0
    return np.array(pairs, np.intp).reshape(-1, 2)
