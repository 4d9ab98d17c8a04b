"""Plots of a dataset: boxes or images per class, sizes of the images, centres of the boxes.

Each is measured and drawn by two functions, so that another process can draw it without the images.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pipeline.dataset.model import SPLITS, DatasetImage
from pipeline.plots.style import INK, MUTED, PALETTE, figure, plain, shorten

MAX_BARS = 40  # more bars than this cannot be read: the rest is summed up
MIN_CELLS, MAX_CELLS = 12, 48  # of a side of the heat map: about one box a cell, so that few boxes show a shape too
_SIDE = 370.0  # of the square of sizes, in pt; a little less than it has
_BOXES_COUNTED = 20_000  # at once: all of a million would take 100 MB for a moment
_SHADES = dict(zip(SPLITS, (PALETTE[0], PALETTE[5], PALETTE[1]), strict=True))
Target = Path | BinaryIO


class Plot(NamedTuple):
    """`measure(images, classes, splits)` is what `draw(target, measured)` needs, as values that can be pickled."""

    measure: Callable[[list[DatasetImage], list[str], Mapping[str, str]], Any]
    draw: Callable[[Target, Any], None]


class ClassCounts(NamedTuple):
    """`counts`: of boxes, or of images, by (class, split)."""

    classes: list[str]
    unit: str
    counts: Counter[tuple[int, str]]


class Centres(NamedTuple):
    """`counts`: boxes by cells of their y and x; `median`: (x, y) as shares, None without boxes."""

    counts: np.ndarray
    boxes: int
    median: tuple[float, float] | None


def count_classes(images: list[DatasetImage], classes: list[str], splits: Mapping[str, str]) -> ClassCounts:
    unit = "boxes" if all(image.label is None for image in images) else "images"
    counts: Counter[tuple[int, str]] = Counter()
    for image in images:
        found = [box.class_id for box in image.boxes] if image.label is None else [image.label]
        counts.update((class_id, splits[image.path]) for class_id in found)
    return ClassCounts(classes, unit, counts)


def draw_class_distribution(target: Target, measured: ClassCounts) -> None:
    """A bar for each class, most frequent first, divided by split: its boxes, or its images."""
    classes, unit, counts = measured
    totals = {class_id: sum(counts[class_id, split] for split in SPLITS) for class_id in range(len(classes))}
    order = sorted(totals, key=lambda class_id: (-totals[class_id], class_id))
    bars = order[:MAX_BARS]
    with figure(target, 8.6, 1.7 + 0.32 * len(bars)) as drawn:
        axes = drawn.subplots()
        left = np.zeros(len(bars))
        for split in SPLITS:
            widths = np.array([counts[class_id, split] for class_id in bars], dtype=float)
            if widths.any():
                axes.barh(range(len(bars)), widths, left=left, height=0.72, color=_SHADES[split], label=split)
            left += widths
        for row, class_id in enumerate(bars):
            axes.annotate(
                f"{totals[class_id]:,}", (left[row], row), (4, 0), textcoords="offset points", va="center", color=INK
            )
        axes.set_yticks(range(len(bars)), [plain(shorten(classes[class_id], 32)) for class_id in bars])
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.1, y=0.02)
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _title(axes, f"{unit.capitalize()} per class", _classes_line(classes, order, totals, unit))
        if counts:
            drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def count_sizes(
    images: list[DatasetImage],
    classes: list[str],  # noqa: ARG001 - one signature
    splits: Mapping[str, str],  # noqa: ARG001
) -> Counter[tuple[int, int]]:
    return Counter((image.width, image.height) for image in images)


def draw_resolution_scatter(target: Target, sizes: Counter[tuple[int, int]]) -> None:
    """A dot for each size, as large as its share; dotted lines are aspect ratios."""
    images = sizes.total()
    points = sorted(sizes.items(), key=lambda entry: -entry[1])
    xs = np.array([size[0] for size, _ in points], dtype=float)
    ys = np.array([size[1] for size, _ in points], dtype=float)
    shares = np.array([count for _, count in points], dtype=float) / images
    areas = 22 + 1400 * shares
    low, end = _limits(xs, ys, areas)
    with figure(target, 6.35, 6.4) as drawn:
        axes = drawn.subplots()
        ticks = [tick for tick in _whole_numbers(9).tick_values(0, end) if 0 <= tick <= end]
        axes.set(xticks=ticks, yticks=ticks, xlabel="width (px)", ylabel="height (px)")
        axes.set(xlim=(low, end), ylim=(low, end), aspect="equal")
        for name, ratio in (("1:1", 1.0), ("4:3", 4 / 3), ("16:9", 16 / 9), ("3:4", 3 / 4), ("9:16", 9 / 16)):
            at = (end, end / ratio) if ratio >= 1 else (end * ratio, end)
            axes.plot((0, at[0]), (0, at[1]), color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
            axes.annotate(
                name,
                (at[0] * 0.97, at[1] * 0.97),
                ha="center",
                va="center",
                color=MUTED,
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )
        axes.scatter(xs, ys, s=areas, color=PALETTE[0], alpha=0.45, edgecolor="white", linewidth=0.8, zorder=3)
        (width, height), count = points[0]
        several = f"{len(points):,} sizes; most common {width} x {height} ({percent(count, images)})"
        line = f"all {images:,} images are {width} x {height}" if len(points) == 1 else several
        _title(axes, "Image sizes", line)


def count_centres(
    images: list[DatasetImage],
    classes: list[str],  # noqa: ARG001 - one signature
    splits: Mapping[str, str],  # noqa: ARG001
) -> Centres:
    centres = np.fromiter(
        (
            share
            for image in images
            for box in image.boxes
            for share in ((box.x1 + box.x2) / 2000 / image.width, (box.y1 + box.y2) / 2000 / image.height)
        ),
        dtype=float,
    ).reshape(-1, 2)
    cells = _cells(len(centres))
    counts = np.zeros((cells, cells))
    for at in range(0, len(centres), _BOXES_COUNTED):
        part = centres[at : at + _BOXES_COUNTED]
        counts += np.histogram2d(part[:, 1], part[:, 0], bins=cells, range=((0, 1), (0, 1)))[0]
    if not len(centres):
        return Centres(counts, 0, None)
    x, y = np.median(centres, axis=0)
    return Centres(counts, len(centres), (float(x), float(y)))


def draw_box_centres(target: Target, measured: Centres) -> None:
    """A heat map of the centres of all boxes, relative to the size of their image."""
    counts, boxes, median = measured
    with figure(target, 7.0, 6.0) as drawn:
        axes = drawn.subplots()
        heat = axes.imshow(
            np.ma.masked_equal(counts, 0), extent=(0, 1, 1, 0), cmap=_heat(), vmin=0, interpolation="nearest"
        )
        axes.set_facecolor("#f5f7fa")
        axes.set(xlabel="x (share of the width)", ylabel="y (share of the height)", xlim=(0, 1), ylim=(1, 0))
        ticks = (0, 0.25, 0.5, 0.75, 1)
        axes.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
        axes.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
        axes.grid(True, color="white", linewidth=0.8)
        axes.spines[:].set_visible(False)
        bar = drawn.colorbar(heat, ax=axes, shrink=0.85, pad=0.02)
        bar.outline.set_visible(False)
        bar.locator = _whole_numbers()
        bar.update_ticks()
        bar.set_label("boxes")
        if median:
            x, y = median
            axes.plot(x, y, marker="+", markersize=14, markeredgewidth=2, color=PALETTE[1])
            line = f"{boxes:,} boxes; + is their median, {x:.0%} from the left and {y:.0%} from the top"
        else:
            line = "no boxes"
        _title(axes, "Box centres", line)


def percent(count: int, total: int) -> str:
    """Only the whole is 100%, and only nothing is 0%."""
    rounded = round(100 * count / total)
    if rounded == 100 and count < total:
        return "over 99%"
    return "under 1%" if rounded == 0 and count else f"{rounded}%"


PLOTS: dict[str, Plot] = {
    "class_distribution": Plot(count_classes, draw_class_distribution),
    "resolution_scatter": Plot(count_sizes, draw_resolution_scatter),
    "box_centres": Plot(count_centres, draw_box_centres),
}


def _classes_line(classes: list[str], order: list[int], totals: Mapping[int, int], unit: str) -> str:
    line = f"{sum(totals.values()):,} {unit} of {len(classes):,} {'classes' if len(classes) != 1 else 'class'}"
    rest = order[MAX_BARS:]
    if rest:
        line += f"; {len(rest):,} more classes with {sum(totals[class_id] for class_id in rest):,} {unit} are not drawn"
    return line


def _limits(xs: np.ndarray, ys: np.ndarray, areas: np.ndarray) -> tuple[float, float]:
    """Of both axes, in px: from 0, or lower where a dot near the corner needs space. `areas`: of the dots, in pt²."""
    radii = np.sqrt(areas) / 2 / _SIDE
    low, end = 0.0, float(max(xs.max(), ys.max())) * 1.12
    for _ in range(4):  # the room that a dot needs grows with the range of the axes
        room = radii * (end - low)
        low = min(low, float((np.minimum(xs, ys) - room).min()))
        end = max(end, float((np.maximum(xs, ys) + room).max()))
    return low, end


def _title(axes: Any, title: str, line: str) -> None:
    axes.set_title(f"{title}\n", linespacing=1.6)
    axes.annotate(
        line, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", color=MUTED, fontsize=9, va="bottom"
    )


def _cells(boxes: int) -> int:
    return int(min(MAX_CELLS, max(MIN_CELLS, boxes**0.5)))


def _heat() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("heat", ["#d3e5f2", "#56b4e9", "#0072b2", "#08306b"])


def _whole_numbers(parts: int = 6) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, nbins=parts)
