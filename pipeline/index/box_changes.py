"""What changed among the boxes of one image.

Boxes with equal edges, class and `difficult` are the same. Of the others, a box before and a box after are one box that
changed where their edges are equal, or their class is the same and they overlap with an IoU of at least `MIN_IOU`; of
several such pairs those with the highest IoU, of these the ones of one class, of these the first ones. What is left was
removed or added. The rule has no direction: read backwards, the changes are the reverse.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Literal, NamedTuple

from pipeline.dataset.model import Box

MIN_IOU = 0.5
MAX_CANDIDATES = 100_000  # pairs that overlap, in one image: 0.2 s; beyond, they count as removed and added
_COMPARED_DIRECTLY = 1000  # pairs: to sort the boxes first takes as long


class BoxChange(NamedTuple):
    """`before` and `after` have the class ids of their own dataset; None: added, or removed. `iou`: of both.

    `is_relabelled`: their classes differ, not only the names or ids of one class.
    """

    before: Box | None
    after: Box | None
    iou: float | None = None
    is_relabelled: bool = False

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    @property
    def kinds(self) -> tuple[str, ...]:
        """`added`, `removed`, or one or more of `class changed`, `moved` and `difficult changed`."""
        if self.before is None or self.after is None:
            return (self.kind,)
        found = (
            (self.is_relabelled, "class changed"),
            (self.before[1:5] != self.after[1:5], "moved"),
            (self.before.difficult != self.after.difficult, "difficult changed"),
        )
        return tuple(name for applies, name in found if applies)


def box_changes(before: Sequence[Box], after: Sequence[Box], classes: Sequence[int]) -> list[BoxChange]:
    """`classes`: for each class id of before that of the same class after, or a number below 0, a different one each.

    Changed boxes first, then removed, then added ones.
    """
    mapped = [Box(classes[box.class_id], *box[1:]) for box in before]
    unmatched: dict[Box, list[int]] = {}
    for j, box in enumerate(after):
        unmatched.setdefault(box, []).append(j)
    old = []
    for i, box in enumerate(mapped):
        if same := unmatched.get(box):
            same.pop()
        else:
            old.append(i)
    new = sorted(j for left in unmatched.values() for j in left)
    if not old and not new:
        return []
    removed, added = set(old), set(new)
    found = []
    for _, differs, i, j, iou in sorted(_candidates(mapped, old, after, new)):
        if i in removed and j in added:
            removed.remove(i)
            added.remove(j)
            found.append(BoxChange(before[i], after[j], iou, differs))
    found += [BoxChange(before[i], None) for i in sorted(removed)]
    return found + [BoxChange(None, after[j]) for j in sorted(added)]


def _candidates(
    before: Sequence[Box], old: Sequence[int], after: Sequence[Box], new: Sequence[int]
) -> Iterator[tuple[float, bool, int, int, float]]:
    """(minus the IoU, whether the classes differ, number before, number after, IoU); nothing for too many."""
    pairs: Iterable[tuple[int, int]] = product(old, new)
    if len(old) * len(new) > _COMPARED_DIRECTLY:
        pairs = list(islice(_pairs_beside(before, old, after, new), MAX_CANDIDATES + 1))
        if len(pairs) > MAX_CANDIDATES:
            return
    for i, j in pairs:
        one, other = before[i], after[j]
        if one.class_id == other.class_id:
            iou = _iou(one, other)
            if iou >= MIN_IOU:
                yield -iou, False, i, j, iou
        elif one[1:5] == other[1:5]:
            yield -1.0, True, i, j, 1.0


def _pairs_beside(
    before: Sequence[Box], old: Sequence[int], after: Sequence[Box], new: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Of the pairs those with equal edges, or of one class that overlap."""
    by_edges: dict[tuple[int, ...], list[int]] = defaultdict(list)
    by_class: dict[int, list[int]] = defaultdict(list)
    for j in new:
        by_edges[after[j][1:5]].append(j)
        by_class[after[j].class_id].append(j)
    columns = {class_id: _Columns(after, numbers) for class_id, numbers in by_class.items()}
    for i in old:
        box = before[i]
        yield from ((i, j) for j in by_edges.get(box[1:5], ()) if after[j].class_id != box.class_id)
        if box.class_id in columns:
            yield from ((i, j) for j in columns[box.class_id].beside(box))


class _Columns:
    """Boxes by their left edges: those that may overlap another one are found without comparing all."""

    def __init__(self, boxes: Sequence[Box], numbers: Sequence[int]) -> None:
        self._boxes = boxes
        self._numbers = sorted(numbers, key=lambda number: boxes[number].x1)
        self._lefts = [boxes[number].x1 for number in self._numbers]
        self._widest = max(boxes[number].x2 - boxes[number].x1 for number in numbers)

    def beside(self, box: Box) -> Iterator[int]:
        begin, end = bisect_right(self._lefts, box.x1 - self._widest), bisect_left(self._lefts, box.x2)
        for number in self._numbers[begin:end]:
            other = self._boxes[number]
            if other.x2 > box.x1 and other.y1 < box.y2 and other.y2 > box.y1:
                yield number


def _iou(one: Box, other: Box) -> float:
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> int:
    return (box.x2 - box.x1) * (box.y2 - box.y1)
