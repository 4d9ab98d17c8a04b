"""Losses, metrics and learning rate by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.plots.style import INK, MUTED, colour, figure

_NAMES = {"f1": "F1"}
_METRICS = ("mAP50", "mAP50-95", "accuracy", "f1", "precision", "recall")


def draw_training(rows: Sequence[Mapping[str, float]], path: Path, *, best_epoch: int) -> None:
    """`rows` of results.csv (`epoch`, `train/*`, `val/*`, `metrics/*`, `lr*`); a dotted line at the best epoch."""
    columns = list(rows[0]) if rows else []
    losses = [name.removeprefix("train/") for name in columns if name.startswith("train/")]
    one_row = len(losses) == 1
    with figure(path, 11, 3.6 if one_row else 6.4) as drawn:
        grid = drawn.add_gridspec(1 if one_row else 2, 4 if one_row else max(3, len(losses)))
        for index, name in enumerate(losses):
            axes = drawn.add_subplot(grid[0, index])
            axes.set(title=name.replace("_", " ").capitalize(), xlabel="epoch")
            _line(axes, rows, f"train/{name}", colour(0), "train")
            _line(axes, rows, f"val/{name}", colour(1), "val")
            _mark_best(axes, best_epoch)
            axes.set_ylim(bottom=0)
            axes.legend(fontsize=8, loc="upper right")
        _draw_metrics(drawn.add_subplot(grid[-1, 1 if one_row else 0 : -1]), rows, columns, best_epoch)
        _draw_rate(drawn.add_subplot(grid[-1, -1]), rows, columns)


def _draw_metrics(axes: Any, rows: Sequence[Mapping[str, float]], columns: list[str], best_epoch: int) -> None:
    axes.set(title=f"Metrics on val (best model: epoch {best_epoch})", xlabel="epoch", ylim=(0, 1.02))
    lines = [(name, label) for label in _METRICS for name in columns if _bare(name) == label]
    for index, (name, label) in enumerate(lines):
        _line(axes, rows, name, colour(index), _NAMES.get(label, label), width=1.4 if index else 2.2)
    _mark_best(axes, best_epoch)
    axes.legend(fontsize=8, ncols=3, loc="lower right")


def _draw_rate(axes: Any, rows: Sequence[Mapping[str, float]], columns: list[str]) -> None:
    axes.set(title="Learning rate", xlabel="epoch")
    name = next((name for name in columns if name.startswith("lr")), None)
    if name:
        _line(axes, rows, name, INK, name)
    axes.set_ylim(bottom=0)


def _line(
    axes: Any, rows: Sequence[Mapping[str, float]], name: str, shade: str, label: str, *, width: float = 1.8
) -> None:
    points = [(row["epoch"], row[name]) for row in rows if name in row]
    marker = "o" if len(points) < 8 else None  # a line of one point is invisible
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.plot(xs, ys, color=shade, label=label, linewidth=width, marker=marker, markersize=3)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _mark_best(axes: Any, best_epoch: int) -> None:
    axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1.2)


def _bare(name: str) -> str:
    """`metrics/mAP50(B)` -> `mAP50`; other columns -> an empty string."""
    if not name.startswith("metrics/"):
        return ""
    return name.removeprefix("metrics/").partition("(")[0]
