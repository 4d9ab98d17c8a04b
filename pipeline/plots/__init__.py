"""Plots of a dataset, a training and its evaluation, drawn from plain data: the same for every trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.plots.confusion import draw_confusion
from pipeline.plots.curves import draw_curves
from pipeline.plots.grid import Sample, draw_grid
from pipeline.plots.training import draw_training

__all__ = ["Sample", "draw_split", "draw_training"]


def draw_split(
    folder: Path,
    split: str,
    *,
    metrics: Mapping[str, Any],
    curves: Mapping[str, Any],
    samples: Sequence[Sample],
    thresholds: Mapping[str, float],
) -> None:
    """Writes `{split}_confusion_matrix.png`, `..._normalized.png`, `{split}_curves.png`, `{split}_predictions.png`.

    `thresholds`: by class.
    """
    confusion = metrics["confusion_matrix"]
    draw_confusion(confusion, folder / f"{split}_confusion_matrix.png", split=split, normalized=False)
    draw_confusion(confusion, folder / f"{split}_confusion_matrix_normalized.png", split=split, normalized=True)
    draw_curves(metrics, curves, thresholds, folder / f"{split}_curves.png", split=split)
    draw_grid(samples, folder / f"{split}_predictions.png")
