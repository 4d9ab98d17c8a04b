"""The few figures that stand for a model where a list has one line for it."""

from collections.abc import Mapping
from typing import Any

MAIN = ("mAP50", "mAP50-95", "accuracy", "f1")  # of a detector and of a classifier
SPLITS = ("test", "val")  # nothing was chosen by the test split; small datasets have none


def main_metrics(metrics: Mapping[str, Any]) -> tuple[str | None, dict[str, float]]:
    """`{"test": {"mAP50": 0.94, "per_class": {...}, ...}, ...}` -> `("test", {"mAP50": 0.94, ...})`.

    The split is None, and nothing is given, for a model that was never evaluated.
    """
    for split in SPLITS:
        measured = metrics.get(split) or {}
        found = {name: float(measured[name]) for name in MAIN if isinstance(measured.get(name), int | float)}
        if found:
            return split, found
    return None, {}
