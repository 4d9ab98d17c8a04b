"""Precision, recall and F1 of a detector as four curves in one image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.plots.style import INK, MUTED, colour, figure, plain, shorten

NAMED_UP_TO = 10  # classes; with more, only their mean has a colour of its own

_PANELS = (
    ("precision_by_recall", "Precision by recall", "recall", "precision"),
    ("f1_by_score", "F1 by confidence", "confidence", "F1"),
    ("precision_by_score", "Precision by confidence", "confidence", "precision"),
    ("recall_by_score", "Recall by confidence", "confidence", "recall"),
)


def draw_curves(
    metrics: Mapping[str, Any], curves: Mapping[str, Any], thresholds: Mapping[str, float], path: Path, *, split: str
) -> None:
    """`curves` as in curves.json. The dotted line is the confidence at which precision, recall and F1 are taken, the
    dots on the curves of F1 are the thresholds of the classes."""
    with figure(path, 11, 8.2) as drawn:
        panels = drawn.subplots(2, 2).ravel()
        for axes, (key, title, xlabel, ylabel) in zip(panels, _PANELS, strict=True):
            axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xlim=(0, 1), ylim=(0, 1.02))
            _draw_classes(axes, curves, key)
            if xlabel == "confidence" and metrics["min_score"] is not None:
                axes.axvline(metrics["min_score"], color=MUTED, linestyle=":", linewidth=1.2)
            if key == "f1_by_score":
                _draw_thresholds(axes, curves, thresholds)
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


def _draw_thresholds(axes: Any, curves: Mapping[str, Any], thresholds: Mapping[str, float]) -> None:
    classes = curves["classes"]
    if len(classes) > NAMED_UP_TO:
        return
    for index, (name, series) in enumerate(classes.items()):
        at = thresholds[name]
        shade = INK if len(classes) == 1 else colour(index)
        axes.plot(at, np.interp(at, curves["x"], series["f1_by_score"]), "o", color=shade, markersize=6, zorder=4)


def _values(series: Mapping[str, Any], key: str) -> Any:
    """Without precision above the confidence of the last box of a class: it is undefined there (0/0)."""
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
    names = {"mAP50": "mAP50", "mAP50-95": "mAP50-95", "precision": "precision", "recall": "recall", "f1": "F1"}
    numbers = "   ".join(f"{name} {metrics[key]:.3f}" for key, name in names.items() if metrics[key] is not None)
    return f"{split}: {metrics['images']} images, {metrics['boxes']} boxes   {numbers}"
