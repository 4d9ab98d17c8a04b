"""The figures that stand for a version where a table has one line for it."""

from collections.abc import Mapping
from typing import Any

MAIN = ("mAP50", "mAP50-95", "accuracy", "f1")
SPLITS = ("test", "val")  # nothing was chosen by the test split; small datasets have none
COUNTS = ("images", "boxes")
NO_QUALITY = (*COUNTS, "min_score")
LOWER_IS_BETTER = ("loss", "error", "bytes", "milliseconds", "seconds")


def main_metrics(metrics: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """The split and its main figures; ("", {}) of a version that was never evaluated."""
    for split in SPLITS:
        measured = numbers(metrics.get(split) or {})
        found = {name: measured[name] for name in MAIN if name in measured}
        if found:
            return split, found
    return "", {}


def numbers(metrics: Mapping[str, Any]) -> dict[str, int | float]:
    """Without what a table has no cell for: per class, matrices, texts. Counts are integers."""
    return {
        name: int(value) if name in COUNTS else value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def best(values: Mapping[str, float], name: str) -> str | None:
    """The key of the best value, if one is better than the others; `name` is that of the figure."""
    if name in NO_QUALITY or len(values) < 2 or len(set(values.values())) == 1:
        return None
    choose = min if any(part in name.lower() for part in LOWER_IS_BETTER) else max
    return choose(values, key=lambda key: values[key])
