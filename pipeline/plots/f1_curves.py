"""F1 by confidence, of each class and their mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.plots.style import INK, MUTED, colour, figure, plain, shorten

NAMED_UP_TO = 10  # classes; with more, only their mean has a colour of its own


def draw_f1_curves(
    confidences: Any, curves: Mapping[str, Any], thresholds: Mapping[str, float], path: Path, *, split: str
) -> None:
    """`curves`, `thresholds`: by class. The dots are the thresholds, at the F1 that each class has there."""
    named = len(curves) <= NAMED_UP_TO
    with figure(path, 5.6, 6.2) as drawn:
        axes = drawn.subplots()
        for index, (name, curve) in enumerate(curves.items()):
            shade = colour(index) if named else MUTED
            label = f"{plain(shorten(name, 20))} {thresholds[name]:.2f}" if named else None
            axes.plot(confidences, curve, color=shade, linewidth=1.3, alpha=1 if named else 0.4, label=label)
            at = thresholds[name]
            axes.plot(at, np.interp(at, confidences, curve), "o", color=shade, markersize=5, zorder=4)
        axes.plot(
            confidences, np.mean(list(curves.values()), axis=0), color=INK, linewidth=2.6, label="mean of the classes"
        )
        axes.set(title=f"F1 by confidence, {split}", xlabel="confidence", ylabel="F1", xlim=(0, 1), ylim=(0, 1.02))
        drawn.legend(loc="outside lower center", fontsize=8, ncols=2, title="class and threshold")
