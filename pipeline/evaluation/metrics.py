"""The numbers of a classifier on one split, as JSON values.

Precision, recall and F1 as scikit-learn has them: macro is the plain mean over the classes with images in the split,
weighted the mean by their images; a class that is never found has precision 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.calibration import calibration
from pipeline.evaluation.evaluated import Judged

TOP = 5
PAIRS = 20  # most-confused pairs that are listed


def classification_metrics(judged: Judged) -> dict[str, Any]:
    matrix = confusion(judged)
    there, found, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    precision, recall = _ratio(right, found), _ratio(right, there)
    f1 = _ratio(2 * right, there + found)
    rows = {"precision": precision, "recall": recall, "f1": f1}
    present = there > 0
    count = int(there.sum())
    return {
        "images": count,
        "accuracy": _rounded(right.sum() / count),
        **{name: _rounded(values[present].mean()) for name, values in rows.items()},
        **{f"{name}_weighted": _rounded((values * there).sum() / count) for name, values in rows.items()},
        f"top{TOP}": _rounded(_top(judged)),
        "log_loss": _rounded(_log_loss(judged)),
        "per_class": {
            name: {
                # Without an image of the class there is nothing to measure: null, not zero.
                **{key: _rounded(values[index]) if present[index] else None for key, values in rows.items()},
                "images": int(there[index]),
                "found": int(found[index]),
            }
            for index, name in enumerate(judged.classes)
        },
        "confusion_matrix": {
            "labels": list(judged.classes),
            "rows": "true",
            "columns": "predicted",
            "matrix": matrix.tolist(),
        },
        "most_confused": _pairs(judged.classes, matrix),
        "calibration": calibration(judged),
    }


def confusion(judged: Judged) -> NDArray[np.int_]:
    """(classes, classes): rows are what was there, columns what was found."""
    size = len(judged.classes)
    flat = np.bincount(judged.labels * size + judged.predicted, minlength=size * size)
    return flat.reshape(size, size)


def _pairs(classes: tuple[str, ...], matrix: NDArray[np.int_]) -> list[dict[str, Any]]:
    """What was taken for what, the most often first; `share` of the images of the true class."""
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


def _top(judged: Judged) -> float:
    """Part of the images whose label is among the five most probable classes."""
    own = judged.probabilities[np.arange(len(judged.labels)), judged.labels]
    better = (judged.probabilities > own[:, None]).sum(axis=1)
    return float((better < TOP).mean())


def _log_loss(judged: Judged) -> float:
    own = judged.probabilities[np.arange(len(judged.labels)), judged.labels]
    return float(-np.log(np.maximum(own, 1e-12)).mean())


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.divide(above, below, out=np.zeros(len(above)), where=below > 0), dtype=np.float64)


def _rounded(value: float) -> float:
    return round(float(value), 5)
