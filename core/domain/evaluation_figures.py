"""One figure of an evaluation or of a training, with all that a reader needs beside it."""

import math
from typing import Any, NamedTuple

METRICS_OF_KIND = {
    "detection": ("mAP50", "mAP50-95", "precision", "recall", "f1"),
    "classification": ("accuracy", "f1", "precision", "recall", "top5"),
}  # the first one is the main one
_Z = 1.96  # of a confidence of 95 %


class Figure(NamedTuple):
    """`low` and `high` bound the value with a confidence of 95 %, where that is known.

    `seen_images`: those the model was trained on, as far as they are known; `seen_known`: they are all known; None
    where nothing was compared. `unseen`: the value without those images. `missing_classes`: classes of the dataset that
    the model does not have.
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
    value: Any, images: Any, *, interval: Any = None, seen: Any = None, unseen: Any = None, classes: Any = None
) -> Figure | None:
    """Of what an evaluation measured; see `pipeline.process.results.Evaluated`."""
    number = _number(value)
    if number is None:
        return None
    low, high = (_number(each) for each in interval) if _is_pair(interval) else (None, None)
    compared = seen if isinstance(seen, dict) else {}
    missing = classes.get("missing") if isinstance(classes, dict) else None
    return Figure(
        value=number,
        low=low,
        high=high,
        images=_count(images),
        seen_known=compared.get("known") is True if compared else None,
        seen_images=_count(compared.get("images")),
        unseen=_number(unseen),
        missing_classes=len(missing) if isinstance(missing, list) else _count(missing),
    )


def _is_pair(interval: Any) -> bool:
    return isinstance(interval, list | tuple) and len(interval) == 2


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
