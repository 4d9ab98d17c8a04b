"""The reliability diagram: accuracy by confidence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.plots.style import INK, MUTED, colour, figure


def draw_reliability(calibration: Mapping[str, Any], path: Path, *, split: str) -> None:
    """`calibration` as in metrics.json. Bars that reach the dotted line are perfectly calibrated."""
    bins = calibration["bins"]
    middles = [(each["from"] + each["to"]) / 2 for each in bins]
    width = (bins[0]["to"] - bins[0]["from"]) * 0.92
    images = sum(each["images"] for each in bins)
    with figure(path, 5.6, 6.2) as drawn:
        upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot((0, 1), (0, 1), color=INK, linestyle=":", linewidth=1.4, zorder=3, label="perfect calibration")
        upper.bar(middles, [each["accuracy"] for each in bins], width, color=colour(0), label="accuracy")
        confidence, accuracy = ([each[name] for each in bins] for name in ("confidence", "accuracy"))
        upper.plot(confidence, accuracy, "o", color=INK, markersize=3.5, label="mean of the bin")
        upper.set(title=f"Reliability, {split} (ECE {calibration['ece']:.3f})", ylabel="accuracy")
        upper.set(xlim=(0, 1), ylim=(0, 1.02))
        upper.legend(loc="upper left", fontsize=8)
        lower.bar(middles, [each["images"] / images for each in bins], width, color=MUTED)
        lower.set(xlabel="confidence", ylabel="share of images", ylim=(0, 1))
