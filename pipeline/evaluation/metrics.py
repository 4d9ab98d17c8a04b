"""The metrics of a classifier on one split, as JSON values.

Precision, recall and F1 as scikit-learn defines them: macro is the plain mean over the classes with images in the
split, weighted the mean by their images; a class that is never predicted has precision 0. Computed by numpy:
scikit-learn takes more than ten times as long, and its import 0.8 s of the start of a training. A test compares both.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.calibration import calibration
from pipeline.evaluation.split_predictions import SplitPredictions

TOP = 5
PAIRS = 20  # confused pairs that are listed


def classification_metrics(predictions: SplitPredictions) -> dict[str, Any]:
    matrix = confusion(predictions)
    images, predicted, correct = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    precision, recall = _ratio(correct, predicted), _ratio(correct, images)
    f1 = _ratio(2 * correct, images + predicted)
    rows = {"precision": precision, "recall": recall, "f1": f1}
    present = images > 0
    count = int(images.sum())
    return {
        "images": count,
        "accuracy": _rounded(correct.sum() / count),
        **{name: _rounded(values[present].mean()) for name, values in rows.items()},
        **{f"{name}_weighted": _rounded((values * images).sum() / count) for name, values in rows.items()},
        f"top{TOP}": _rounded(_top_accuracy(predictions)),
        "log_loss": _rounded(_log_loss(predictions)),
        "per_class": {
            name: {
                # Without an image of the class there is nothing to measure: null, not zero.
                **{key: _rounded(values[index]) if present[index] else None for key, values in rows.items()},
                "images": int(images[index]),
                "predicted": int(predicted[index]),
            }
            for index, name in enumerate(predictions.classes)
        },
        "confusion_matrix": {
            "labels": list(predictions.classes),
            "rows": "true",
            "columns": "predicted",
            "matrix": matrix.tolist(),
        },
        "most_confused": _pairs(predictions.classes, matrix),
        "calibration": calibration(predictions),
    }


def confusion(predictions: SplitPredictions) -> NDArray[np.int_]:
    """(classes, classes) counts: rows are the ground truth, columns the predictions."""
    size = len(predictions.classes)
    flat = np.bincount(predictions.labels * size + predictions.predicted, minlength=size * size)
    return flat.reshape(size, size)


def _pairs(classes: tuple[str, ...], matrix: NDArray[np.int_]) -> list[dict[str, Any]]:
    """Confused pairs, most frequent first; `share` is that of the images of the true class."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(flat), len(classes)) for flat in order]
    return [
        {
            "true": classes[row],
            "predicted": classes[column],
            "images": int(wrong[row, column]),
            "share": _rounded(wrong[row, column] / matrix[row].sum()),
        }
        for row, column in pairs
        if wrong[row, column]
    ]


def _top_accuracy(predictions: SplitPredictions) -> float:
    """The share of images whose label is among the five most probable classes."""
    better = (predictions.probabilities > predictions.label_probabilities[:, None]).sum(axis=1)
    return float((better < TOP).mean())


def _log_loss(predictions: SplitPredictions) -> float:
    return float(-np.log(np.maximum(predictions.label_probabilities, 1e-12)).mean())


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.divide(above, below, out=np.zeros(len(above)), where=below > 0), dtype=np.float64)


def _rounded(value: float) -> float:
    return round(float(value), 5)
