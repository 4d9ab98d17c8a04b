"""The difference of two datasets, computed once from their image indexes into a small SQLite file of its own.

Images are the same by the sha256 of their files. Where several have the same bytes, those with equal paths belong
together, then the first ones by path on both sides; what one side has more of was added or removed. Of the rest, images
with the same path belong together: their bytes were replaced. The indexes are read as a stream; what is kept in memory
is some numbers for each image of both, and a path for each that differs.
"""

import errno
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pipeline.dataset.model import SPLITS
from pipeline.index.box_changes import box_changes
from pipeline.index.class_pairs import ClassPairs, pair_classes
from pipeline.index.diff_summary import IMAGE_CHANGES, BoxCounts, DiffSummary, ImageCounts, SplitMove, SplitShift
from pipeline.index.schema import unpack_boxes
from pipeline.index.shifts import class_counts, class_shifts, shift_of_classes, side_statistics, size_shifts

DIFF_VERSION = 1  # of the file and of the rules

BITS = {change: 1 << number for number, change in enumerate(IMAGE_CHANGES)}

_TABLES = (
    """CREATE TABLE items (
        number INTEGER PRIMARY KEY, before INTEGER, after INTEGER, changes INTEGER NOT NULL,
        annotations INTEGER NOT NULL
    )""",
    "CREATE TABLE summary (content TEXT NOT NULL, classes TEXT NOT NULL)",
    "CREATE TEMPORARY TABLE pairs (before INTEGER PRIMARY KEY, after INTEGER NOT NULL UNIQUE)",
    """CREATE TEMPORARY TABLE found (
        path TEXT NOT NULL, before INTEGER, after INTEGER, changes INTEGER NOT NULL, annotations INTEGER NOT NULL
    )""",
)
_PAIRS = (
    """INSERT INTO pairs SELECT x.number, y.number FROM before.details x JOIN after.details y USING (path)
    WHERE x.sha256 = y.sha256""",
    """INSERT INTO pairs
    WITH x AS (
        SELECT number, sha256, row_number() OVER (PARTITION BY sha256 ORDER BY number) AS nth FROM before.details
        WHERE number NOT IN (SELECT before FROM pairs)
    ), y AS (
        SELECT number, sha256, row_number() OVER (PARTITION BY sha256 ORDER BY number) AS nth FROM after.details
        WHERE number NOT IN (SELECT after FROM pairs)
    )
    SELECT x.number, y.number FROM x JOIN y USING (sha256, nth)""",
    """INSERT INTO pairs SELECT x.number, y.number FROM before.details x JOIN after.details y USING (path)
    WHERE x.number NOT IN (SELECT before FROM pairs) AND y.number NOT IN (SELECT after FROM pairs)""",
)
_OF_ONE_SIDE = (
    f"""INSERT INTO found SELECT path, NULL, number, {BITS["added"]}, 0 FROM after.details
    WHERE number NOT IN (SELECT after FROM pairs)""",  # noqa: S608 - of constants, and below
    f"""INSERT INTO found SELECT path, number, NULL, {BITS["removed"]}, 0 FROM before.details
    WHERE number NOT IN (SELECT before FROM pairs)""",  # noqa: S608
)
_OF_BOTH = """SELECT p.before, p.after, x.path, y.path, x.sha256 <> y.sha256, m.split, n.split, m.label, n.label,
    x.boxes, y.boxes
    FROM pairs p JOIN before.details x ON x.number = p.before JOIN before.images m ON m.number = p.before
    JOIN after.details y ON y.number = p.after JOIN after.images n ON n.number = p.after"""
# Where the ids of the classes are those of before, equal bytes are equal annotations.
_UNLIKE = """x.path <> y.path OR x.sha256 <> y.sha256 OR m.split <> n.split OR m.label IS NOT n.label
    OR x.boxes <> y.boxes"""
_ITEMS = """INSERT INTO items
    SELECT row_number() OVER (ORDER BY path, after IS NULL, before, after) - 1, before, after, changes, annotations
    FROM found ORDER BY 1"""


class IndexedDataset(NamedTuple):
    """`file`: its image index; `classes`: the names of its classes, in the order of their ids."""

    file: Path
    classes: Sequence[str]


def write_diff(before: IndexedDataset, after: IndexedDataset, target: Path) -> None:
    """Write the difference to `target`, which is new. Both are of one kind. Raises OSError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(target))}", uri=True, isolation_level=None)) as db:
            _write(db, before, after)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, str(error), str(target)) from error


def _write(db: sqlite3.Connection, before: IndexedDataset, after: IndexedDataset) -> None:
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = memory", f"user_version = {DIFF_VERSION}"):
        db.execute(f"PRAGMA {pragma}")
    for name, side in (("before", before), ("after", after)):
        db.execute(f"ATTACH ? AS {name}", (f"file:{quote(str(side.file))}?mode=ro&immutable=1",))
    db.execute("BEGIN")
    for statement in (*_TABLES, *_PAIRS):
        db.execute(statement)
    classes = pair_classes(db, before.classes, after.classes)
    boxes = _find(db, classes)
    for statement in (*_OF_ONE_SIDE, _ITEMS):
        db.execute(statement)
    summary = _summary(db, classes, boxes)
    db.execute("INSERT INTO summary VALUES (?, ?)", (summary.model_dump_json(), classes.to_json()))
    db.execute("COMMIT")


class _Counted(NamedTuple):
    added: int
    removed: int
    changed: int


def _find(db: sqlite3.Connection, classes: ClassPairs) -> _Counted:
    """Adds the images of both that differ to `found`. Returns how their boxes differ."""
    counts: Counter[str] = Counter()
    statement = f"{_OF_BOTH} WHERE {_UNLIKE}" if classes.is_identity else _OF_BOTH
    rows = (_row(pair, classes, counts) for pair in db.execute(statement))
    db.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?)", (row for row in rows if row is not None))
    return _Counted(counts["added"], counts["removed"], counts["changed"])


def _row(pair: tuple[Any, ...], classes: ClassPairs, counts: Counter[str]) -> tuple[Any, ...] | None:
    """Of `found`; None where nothing differs. Adds the changes of the boxes to `counts`."""
    before, after, path, path_after, is_replaced, split, split_after, label, label_after, *packed = pair
    boxes, boxes_after = map(unpack_boxes, packed)
    changes = box_changes(boxes, boxes_after, classes.after_of)
    counts.update(change.kind for change in changes)
    annotations = len(changes) + (label is not None and classes.after_of[label] != label_after)
    bits = BITS["replaced"] * is_replaced + BITS["moved"] * (path != path_after)
    bits += BITS["split"] * (split != split_after) + BITS["changed"] * bool(annotations)
    return (path_after, before, after, bits, annotations) if bits else None


def _summary(db: sqlite3.Connection, classes: ClassPairs, boxes: _Counted) -> DiffSummary:
    before, after = (side_statistics(db, name) for name in ("before", "after"))
    shifts = class_shifts(classes, before.classes, after.classes)
    counts = {change: _count(db, "SELECT count(*) FROM items WHERE changes & ?", bit) for change, bit in BITS.items()}
    differing = _count(db, "SELECT count(*) FROM items WHERE before IS NOT NULL AND after IS NOT NULL")
    pairs = _count(db, "SELECT count(*) FROM pairs")
    in_added = (
        "SELECT coalesce(sum(i.boxes), 0) FROM items JOIN after.images i ON i.number = after WHERE before IS NULL"
    )
    in_removed = "SELECT coalesce(sum(i.boxes), 0) FROM items JOIN before.images i ON i.number = before"
    return DiffSummary(
        images=ImageCounts(before=before.images, after=after.images, unchanged=pairs - differing, **counts),
        boxes=BoxCounts(
            before=before.boxes,
            after=after.boxes,
            **boxes._asdict(),
            in_added_images=_count(db, in_added),
            in_removed_images=_count(db, f"{in_removed} WHERE after IS NULL"),
        ),
        class_counts=class_counts(classes, shifts),
        class_shift=shift_of_classes(classes, before.classes, after.classes),
        classes=shifts,
        splits=[
            SplitShift(split=name, before=before.splits[number], after=after.splits[number])
            for number, name in enumerate(SPLITS)
        ],
        split_moves=_split_moves(db),
        sizes=size_shifts(before, after),
    )


def _split_moves(db: sqlite3.Connection) -> list[SplitMove]:
    statement = """SELECT m.split, n.split, count(*) FROM items JOIN before.images m ON m.number = before
        JOIN after.images n ON n.number = after WHERE m.split <> n.split GROUP BY 1, 2 ORDER BY 1, 2"""
    return [SplitMove(before=SPLITS[one], after=SPLITS[other], images=n) for one, other, n in db.execute(statement)]


def _count(db: sqlite3.Connection, statement: str, *values: int) -> int:
    count: int = db.execute(statement, values).fetchone()[0]
    return count
