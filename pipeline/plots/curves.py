"""Precision, recall and F1 as four curves in one image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.plots.style import INK, MUTED, colour, figure, plain, shorten

NAMED_UP_TO = 10  # more classes than this and only the mean stands out

_PANELS = (
    ("precision_by_recall", "Precision over recall", "recall", "precision"),
    ("f1_by_score", "F1 over score", "score", "F1"),
    ("precision_by_score", "Precision over score", "score", "precision"),
    ("recall_by_score", "Recall over score", "score", "recall"),
)


def draw_curves(metrics: Mapping[str, Any], curves: Mapping[str, Any], path: Path, *, split: str) -> None:
    """`curves` as in curves.json. The dotted line is the score at which the metrics are taken."""
    with figure(path, 11, 8.2) as drawn:
        panels = drawn.subplots(2, 2).ravel()
        for axes, (key, title, below, beside) in zip(panels, _PANELS, strict=True):
            axes.set(title=title, xlabel=below, ylabel=beside, xlim=(0, 1), ylim=(0, 1.02))
            _draw_classes(axes, curves, key)
            if below == "score" and metrics["min_score"] is not None:
                axes.axvline(metrics["min_score"], color=MUTED, linestyle=":", linewidth=1.2)
        _legend(drawn, metrics, curves)
        drawn.suptitle(_summary(metrics, split), x=0.01, ha="left", fontsize=10, color=INK)


def _draw_classes(axes: Any, curves: Mapping[str, Any], key: str) -> None:
    classes = curves["classes"]
    if not classes:
        axes.text(0.5, 0.5, "no boxes in this split", ha="center", color=MUTED)
        return
    faint = len(classes) > NAMED_UP_TO
    lines = [_values(series, key) for series in classes.values()]
    if len(lines) > 1:
        for index, line in enumerate(lines):
            shade = MUTED if faint else colour(index)
            axes.plot(curves["x"], line, color=shade, linewidth=0.8 if faint else 1.3, alpha=0.4 if faint else 1)
    mean = np.ma.masked_invalid(lines).mean(axis=0)
    axes.plot(curves["x"], mean, color=INK, linewidth=2.6)


def _values(series: Mapping[str, Any], key: str) -> Any:
    """Above the score of a class's last box its precision is a matter of taste (0/0): leave it out."""
    values = np.asarray(series[key], dtype=float)
    if key == "precision_by_score":
        values[np.asarray(series["recall_by_score"]) == 0] = np.nan
    return values


def _legend(drawn: Any, metrics: Mapping[str, Any], curves: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    named = list(curves["classes"])
    if not named:
        return
    lines = [Line2D([], [], color=INK, linewidth=2.6, label=f"all classes, mAP50 {metrics['mAP50']:.3f}")]
    if 1 < len(named) <= NAMED_UP_TO:
        lines += [
            Line2D([], [], color=colour(i), label=f"{plain(shorten(n))}, AP50 {metrics['per_class'][n]['mAP50']:.3f}")
            for i, n in enumerate(named)
        ]
    drawn.legend(handles=lines, loc="outside lower center", ncols=min(4, len(lines)))


def _summary(metrics: Mapping[str, Any], split: str) -> str:
    names = [name for name in ("mAP50", "mAP50-95", "precision", "recall", "f1") if metrics[name] is not None]
    numbers = "   ".join(f"{name} {metrics[name]:.3f}" for name in names)
    return f"{split}: {metrics['images']} images, {metrics['boxes']} boxes   {numbers}"
