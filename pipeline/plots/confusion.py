"""The confusion matrix as an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.plots.style import INK, figure, plain, shorten

NUMBERS_UP_TO = 30  # labels; with more, the numbers in the cells are illegible


def draw_confusion(
    confusion: Mapping[str, Any], path: Path, *, split: str, normalized: bool, unit: str = "boxes"
) -> None:
    """Rows are the ground truth, columns the predictions; normalized: each row sums to 1. `unit`: what is counted."""
    counts = np.asarray(confusion["matrix"], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    values = shares if normalized else counts
    labels = [plain(shorten(label)) for label in confusion["labels"]]
    side = min(18.0, 3.4 + 0.55 * len(labels))
    with figure(path, side + 0.8, side) as drawn:
        axes = drawn.subplots()
        # In both images the colour is the share of the row: a large class must not hide the errors of a small one.
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel(_predicted(confusion))
        axes.set_ylabel("ground truth")
        axes.set_title(f"Confusion matrix, {split}" + (" (share of each row)" if normalized else f" ({unit})"))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
        axes.grid(True, which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        _colourbar(drawn, image, axes)
        if len(labels) <= NUMBERS_UP_TO:
            _numbers(axes, values, shares, "{:.2f}" if normalized else "{:.0f}")


def _predicted(confusion: Mapping[str, Any]) -> str:
    if "min_score" not in confusion:
        return "predicted"
    return f"predicted (confidence above {confusion['min_score']:g}, IoU above {confusion['min_iou']:g})"


def _colourbar(drawn: Any, image: Any, axes: Any) -> None:
    bar = drawn.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("share of the row")


def _numbers(axes: Any, values: Any, shares: Any, form: str) -> None:
    size = 10 if len(values) <= 8 else 7
    for (row, column), value in np.ndenumerate(values):
        if value:
            dark = shares[row, column] > 0.55
            text = form.format(value)
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)
