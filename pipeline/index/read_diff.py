"""Reading the difference of two datasets: its summary at once, its images by pages, each with what changed in it."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pipeline.index.box_changes import BoxChange, box_changes
from pipeline.index.diff import BITS, IndexedDataset
from pipeline.index.diff_summary import DiffSummary, ImageChange
from pipeline.index.read import read_numbered
from pipeline.index.schema import IndexedImage

_ALL_BOXES = 2**31
_ROWS_AT_ONCE = 100


class ComparedDatasets(NamedTuple):
    """`file`: what `write_diff` wrote of the two."""

    file: Path
    before: IndexedDataset
    after: IndexedDataset


class DiffItem(NamedTuple):
    """An image that differs. `before` or `after` is None where its dataset lacks it. `number`: its place in the diff,
    whose order is that of the paths."""

    number: int
    changes: tuple[ImageChange, ...]
    before: IndexedImage | None
    after: IndexedImage | None
    boxes: list[BoxChange]

    @property
    def path(self) -> str:
        """In the second dataset, or in the first where the second lacks it."""
        image = self.after or self.before
        assert image is not None  # noqa: S101 - for the type checker: one of the two is there
        return image.path


class DiffPage(NamedTuple):
    """`end`: the number after which the next page begins, None on the last page."""

    items: list[DiffItem]
    end: int | None


def read_summary(compared: ComparedDatasets) -> DiffSummary:
    with closing(_open(compared.file)) as db:
        (content,) = db.execute("SELECT content FROM summary").fetchone()
    return DiffSummary.model_validate_json(content)


def read_diff(
    compared: ComparedDatasets, *, change: ImageChange | None = None, after: int = -1, limit: int
) -> DiffPage:
    """The images after the number `after`, all or those with this change."""
    with closing(_open(compared.file)) as db:
        statement = "SELECT * FROM items WHERE number > ? AND changes & ? ORDER BY number LIMIT ?"
        rows = db.execute(statement, (after, _mask(change), limit + 1)).fetchall()
        items = _items(db, compared, rows[:limit])
    return DiffPage(items, items[-1].number if len(rows) > limit else None)


def read_all(compared: ComparedDatasets, *, change: ImageChange | None = None) -> Iterator[DiffItem]:
    """The same, all of them, some at a time."""
    end: int | None = -1
    while end is not None:
        page = read_diff(compared, change=change, after=end, limit=_ROWS_AT_ONCE)
        yield from page.items
        end = page.end


def read_most_changed(compared: ComparedDatasets, *, change: ImageChange | None = None, limit: int) -> DiffPage:
    """Those with the most changed annotations first, then by path."""
    with closing(_open(compared.file)) as db:
        statement = "SELECT * FROM items WHERE changes & ? ORDER BY annotations DESC, number LIMIT ?"
        rows = db.execute(statement, (_mask(change), limit)).fetchall()
        return DiffPage(_items(db, compared, rows), None)


def count_changed(compared: ComparedDatasets, *, change: ImageChange | None = None) -> int:
    """The images that differ, all or those with this change."""
    with closing(_open(compared.file)) as db:
        count: int = db.execute("SELECT count(*) FROM items WHERE changes & ?", (_mask(change),)).fetchone()[0]
    return count


def _items(
    db: sqlite3.Connection, compared: ComparedDatasets, rows: Sequence[tuple[int, int | None, int | None, int, int]]
) -> list[DiffItem]:
    (classes,) = db.execute("SELECT classes FROM summary").fetchone()
    after_of: list[int] = json.loads(classes)
    before = _images(compared.before, [one for _, one, *_ in rows])
    after = _images(compared.after, [other for _, _, other, *_ in rows])
    items = []
    for number, one, other, bits, _ in rows:
        old, new = before.get(one), after.get(other)
        changes = tuple(change for change, bit in BITS.items() if bits & bit)
        boxes = box_changes(old.boxes, new.boxes, after_of) if old and new else []
        items.append(DiffItem(number, changes, old, new, boxes))
    return items


def _images(dataset: IndexedDataset, numbers: Sequence[int | None]) -> dict[int | None, IndexedImage]:
    wanted = [number for number in numbers if number is not None]
    return dict(read_numbered(dataset.file, wanted, boxes=_ALL_BOXES).items())


def _mask(change: ImageChange | None) -> int:
    return sum(BITS.values()) if change is None else BITS[change]


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
