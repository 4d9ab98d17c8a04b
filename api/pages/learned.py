"""Whether a training has learned anything, by its main figure."""

from collections.abc import Mapping
from typing import Any

from api.pages.filters import UNSEEN
from core.domain.main_metrics import main_metrics


def unlearned_metric(metrics: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """The name of the main metric where it is 0.000 after a training; else empty. A baseline trains nothing."""
    _, figures = main_metrics(metrics)
    name, value = next(iter(figures.items()), ("", 1.0))
    return name if value < UNSEEN and params.get("mode") != "zero-shot" else ""
