"""The main figures of versions, read without the rest of their metrics, which is 100 kB of JSON for 1,000 classes."""

import math
from collections.abc import Sequence
from typing import Any

from core.db.tables import VersionRow
from core.domain.main_metrics import MAIN, SPLITS

_PLACES = [(split, name) for split in SPLITS for name in MAIN]
MAIN_FIGURES = tuple(VersionRow.metrics[place].as_string() for place in _PLACES)  # columns of a statement


def metrics_of(figures: Sequence[Any]) -> dict[str, dict[str, float]]:
    """`figures`: what a row has for MAIN_FIGURES. The part of the metrics that `main_metrics` reads."""
    found: dict[str, dict[str, float]] = {}
    for (split, name), text in zip(_PLACES, figures, strict=True):
        if (value := _number(text)) is not None:
            found.setdefault(split, {})[name] = value
    return found


def _number(text: Any) -> float | None:
    """SQLite gives the number, PostgreSQL its text. None for what is no finite number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
