"""Which class before is which class after: by name, and of names that only one dataset has by what they annotate.

A class was renamed where more than half of its annotations in images of both datasets have the other name afterwards,
and more than half of those with the other name had this one: boxes with equal edges, or whole images. So no class is
renamed to two.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.index.schema import box_values

_WITH_OLD_AND_NEW = """SELECT m.label, n.label, x.boxes, y.boxes
    FROM pairs p JOIN before.details x ON x.number = p.before JOIN before.images m ON m.number = p.before
    JOIN after.details y ON y.number = p.after JOIN after.images n ON n.number = p.after
    WHERE p.before IN (SELECT number FROM before.classes WHERE class IN (SELECT value FROM json_each(?)))
    OR p.after IN (SELECT number FROM after.classes WHERE class IN (SELECT value FROM json_each(?)))"""
_Annotation = tuple[int, ...]  # edges of a box; empty: the whole image


@dataclass(frozen=True, slots=True)
class ClassPairs:
    """`after_of`: for each class id before that of the same class after, or a number below 0, a different one each.
    `renamed`: the ids before of renamed classes."""

    before: Sequence[str]
    after: Sequence[str]
    after_of: Sequence[int]
    renamed: frozenset[int]

    @property
    def is_identity(self) -> bool:
        """Whether each class before has the same id after."""
        return all(number == other for number, other in enumerate(self.after_of))

    def to_json(self) -> str:
        """`after_of`."""
        return json.dumps(list(self.after_of))


def pair_classes(db: sqlite3.Connection, before: Sequence[str], after: Sequence[str]) -> ClassPairs:
    """`db` has both indexes attached, and the table `pairs` of the images that are in both."""
    ids = {name: number for number, name in enumerate(after)}
    gone = [number for number, name in enumerate(before) if name not in ids]
    known = set(before)
    new = [number for number, name in enumerate(after) if name not in known]
    renamed = _renamed(db, gone, new) if gone and new else {}
    after_of = [renamed.get(number, ids.get(name, -1 - number)) for number, name in enumerate(before)]
    return ClassPairs(before, after, after_of, frozenset(renamed))


def _renamed(db: sqlite3.Connection, gone: Sequence[int], new: Sequence[int]) -> dict[int, int]:
    totals_before: Counter[int] = Counter()
    totals_after: Counter[int] = Counter()
    votes: Counter[tuple[int, int]] = Counter()
    old_ids, new_ids = frozenset(gone), frozenset(new)
    for label, label_after, boxes, boxes_after in db.execute(_WITH_OLD_AND_NEW, (json.dumps(gone), json.dumps(new))):
        now: dict[_Annotation, list[int]] = defaultdict(list)
        for at, class_id in _annotations(label_after, boxes_after, new_ids):
            totals_after[class_id] += 1
            now[at].append(class_id)
        for at, class_id in _annotations(label, boxes, old_ids):
            totals_before[class_id] += 1
            votes.update((class_id, other) for other in set(now.get(at, ())))
    return {
        one: other
        for (one, other), count in votes.items()
        if 2 * count > totals_before[one] and 2 * count > totals_after[other]
    }


def _annotations(label: int | None, boxes: bytes, ids: frozenset[int]) -> Iterator[tuple[_Annotation, int]]:
    if label in ids:
        yield (), label
    for class_id, *edges, _ in box_values(boxes):
        if class_id in ids:
            yield tuple(edges), class_id
