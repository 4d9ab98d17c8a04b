"""How the shares of classes and the sizes of images and boxes shift between two datasets."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import NamedTuple

from pipeline.dataset.model import SPLITS
from pipeline.index.class_pairs import ClassPairs
from pipeline.index.diff_summary import ClassChange, ClassCounts, ClassShift, Quantiles, SizeShift, total_variation
from pipeline.index.schema import box_values

_STEPS = 1000  # of the relative size of a box, which is counted in thousandths: no list of all boxes is kept
_QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


class SideStatistics(NamedTuple):
    """Of one dataset. `classes`: boxes or labelled images by class id; `splits`: images by number of the split;
    `widths`, `heights`, `box_sizes`: how many images or boxes have which value."""

    images: int
    boxes: int
    classes: Mapping[int, int]
    splits: Sequence[int]
    widths: Mapping[float, int]
    heights: Mapping[float, int]
    box_sizes: Mapping[float, int]


def side_statistics(db: sqlite3.Connection, side: str) -> SideStatistics:
    """`side`: `before` or `after`, as which the index is attached."""
    classes: Counter[int] = Counter()
    widths: Counter[float] = Counter()
    heights: Counter[float] = Counter()
    sizes, splits = [0] * (_STEPS + 1), [0] * len(SPLITS)
    # `side` is one of two names of ours
    statement = (
        f"SELECT width, height, details.boxes, label, split FROM {side}.details JOIN {side}.images USING (number)"  # noqa: S608
    )
    for width, height, boxes, label, split in db.execute(statement):
        widths[width] += 1
        heights[height] += 1
        splits[split] += 1
        if label is not None:
            classes[label] += 1
        area = width * height * 1e6  # boxes are in thousandths of a pixel
        for class_id, x1, y1, x2, y2, _ in box_values(boxes):
            classes[class_id] += 1
            sizes[round(_STEPS * sqrt((x2 - x1) * (y2 - y1) / area))] += 1
    by_size = {step / _STEPS: count for step, count in enumerate(sizes) if count}
    return SideStatistics(sum(splits), sum(sizes), classes, splits, widths, heights, by_size)


def class_shifts(pairs: ClassPairs, before: Mapping[int, int], after: Mapping[int, int]) -> list[ClassShift]:
    """`before`, `after`: counts by class id."""
    total_before, total_after = (max(1, sum(counts.values())) for counts in (before, after))
    before_of = {other: number for number, other in enumerate(pairs.after_of) if other >= 0}
    ids = [(before_of.get(other), other) for other in range(len(pairs.after))]
    ids_of_removed = [(number, None) for number, other in enumerate(pairs.after_of) if other < 0]
    found = []
    for one, other in (*ids, *ids_of_removed):
        count_before = 0 if one is None else before.get(one, 0)
        count_after = 0 if other is None else after.get(other, 0)
        found.append(
            ClassShift(
                name=pairs.after[other] if other is not None else pairs.before[one or 0],
                change=_change(pairs, one, other),
                name_before=pairs.before[one] if one in pairs.renamed and one is not None else None,
                id_before=one,
                id_after=other,
                count_before=count_before,
                count_after=count_after,
                share_before=_rounded(count_before / total_before),
                share_after=_rounded(count_after / total_after),
            )
        )
    return sorted(found, key=_interest)


def class_counts(pairs: ClassPairs, shifts: Sequence[ClassShift]) -> ClassCounts:
    counts = Counter(shift.change for shift in shifts)
    return ClassCounts(
        before=len(pairs.before),
        after=len(pairs.after),
        added=counts["added"],
        removed=counts["removed"],
        renamed=counts["renamed"],
        renumbered=sum(
            None not in (shift.id_before, shift.id_after) and shift.id_before != shift.id_after for shift in shifts
        ),
    )


def shift_of_classes(pairs: ClassPairs, before: Mapping[int, int], after: Mapping[int, int]) -> float | None:
    """The total variation of the shares of the classes, 0 to 1."""
    found = total_variation({pairs.after_of[number]: count for number, count in before.items()}, after)
    return None if found is None else _rounded(found)


def size_shifts(before: SideStatistics, after: SideStatistics) -> list[SizeShift]:
    return [
        SizeShift(measure="image_width", before=_quantiles(before.widths), after=_quantiles(after.widths)),
        SizeShift(measure="image_height", before=_quantiles(before.heights), after=_quantiles(after.heights)),
        SizeShift(measure="box_size", before=_quantiles(before.box_sizes), after=_quantiles(after.box_sizes)),
    ]


def _change(pairs: ClassPairs, before: int | None, after: int | None) -> ClassChange | None:
    if before is None or after is None:
        return "added" if before is None else "removed"
    if before in pairs.renamed:
        return "renamed"
    return None if before == after else "renumbered"


def _interest(shift: ClassShift) -> tuple[bool, float, str]:
    return shift.change in (None, "renumbered"), -abs(shift.share_after - shift.share_before), shift.name


def _quantiles(counts: Mapping[float, int]) -> Quantiles | None:
    """The smallest value that so large a share of all reaches at most (nearest rank)."""
    total = sum(counts.values())
    if not total:
        return None
    ranks = {name: ceil(share * total) for name, share in _QUANTILES.items()}
    found: dict[str, float] = {}
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        found |= {name: value for name, rank in ranks.items() if reached >= rank and name not in found}
    return Quantiles(**found)


def _rounded(share: float) -> float:
    return round(share, 6)
