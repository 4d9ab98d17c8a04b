"""One figure of an evaluation or of a training, with all that a reader needs beside it."""

import math
from typing import Any, NamedTuple

METRICS_OF_KIND = {
    "detection": ("mAP50", "mAP50-95", "precision", "recall", "f1"),
    "classification": ("accuracy", "f1", "precision", "recall"),
}  # the first one is the main one
_Z = 1.96  # of a confidence of 95 %


class Figure(NamedTuple):
    """`low` and `high` bound the value with a confidence of 95 %, where that is known.

    `seen_images`: those the model was trained on, as far as they are known, None where nothing was compared;
    `seen_known`: they are all known, None of a training. `unseen`: the value without those images. `missing_classes`:
    classes of the dataset that the model does not have.
    """

    value: float
    low: float | None = None
    high: float | None = None
    images: int | None = None
    seen_known: bool | None = None
    seen_images: int | None = None
    unseen: float | None = None
    missing_classes: int | None = None


def figure_of_training(value: Any, images: Any, *, metric: str) -> Figure | None:
    """Of the metrics of a version. None where the training did not measure it."""
    number, count = _number(value), _count(images)
    if number is None:
        return None
    low, high = _wilson(number, count) if metric == "accuracy" and count else (None, None)
    return Figure(number, low, high, count)


def figure_of_evaluation(
    value: Any,
    images: Any,
    *,
    low: Any = None,
    high: Any = None,
    seen_known: bool | None = None,
    seen_images: Any = None,
    unseen: Any = None,
    missing_classes: int | None = None,
) -> Figure | None:
    """Of what an evaluation measured; see `pipeline.process.results.Evaluated`."""
    number = _number(value)
    if number is None:
        return None
    bounds = _number(low), _number(high)
    return Figure(number, *bounds, _count(images), seen_known, _count(seen_images), _number(unseen), missing_classes)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927)."""
    spread = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    middle, scale = share + _Z**2 / (2 * count), 1 + _Z**2 / count
    return round((middle - spread) / scale, 5), round((middle + spread) / scale, 5)
