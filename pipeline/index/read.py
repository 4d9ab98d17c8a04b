"""Reading the image index in place: filtered, sorted, one page at a time. Nothing of it stays in memory."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from core.domain.limits import MAX_BOXES_PER_IMAGE
from pipeline.dataset.model import SPLITS
from pipeline.index.schema import IndexedImage, unpack_boxes

# A column of the table of images for each order.
SORTS = {"path": "number", "size": "pixels", "boxes": "boxes", "brightness": "brightness", "blur": "blur"}

_SHA256_DIGITS = 64
_HEXADECIMAL = frozenset("0123456789abcdef")
_COLUMNS = (
    "path, name, row, sha256, phash, split, label, width, height, format, at, bytes, brightness, blur, images.boxes,"
    " details.boxes"
)
_JOINED = f"SELECT {_COLUMNS} FROM details JOIN images USING (number)"  # noqa: S608 - of constants


class Selection(NamedTuple):
    """What is listed, and in which order. `paths`: only images with one of them; None: any."""

    class_id: int | None = None
    split: str | None = None
    paths: Collection[str] | None = None
    sort: str = "path"
    descending: bool = False


class Position(NamedTuple):
    """Where a page ended: the value that it is sorted by, and the number of the image."""

    value: float
    number: int


class IndexPage(NamedTuple):
    """`end` is None on the last page."""

    images: list[IndexedImage]
    end: Position | None


def read_page(file: Path, selection: Selection, *, after: Position | None, limit: int, boxes: int) -> IndexPage:
    """The images of `selection` after a position: in ascending order of the value and then of the path, or the reverse
    of both. Of each image the first `boxes` boxes."""
    with _open(file) as index:
        where = _conditions(index, selection)
        return _page(index, selection, where, after=after, limit=limit, boxes=boxes)


def read_counted_page(
    file: Path, selection: Selection, *, after: Position | None, limit: int, boxes: int
) -> tuple[IndexPage, int]:
    """As `read_page`, and the number of all images of `selection`."""
    with _open(file) as index:
        where = _conditions(index, selection)
        page = _page(index, selection, where, after=after, limit=limit, boxes=boxes)
        if after is None and page.end is None:
            return page, len(page.images)
        return page, _count(index, where)


def count_images(file: Path, selection: Selection) -> int:
    with _open(file) as index:
        return _count(index, _conditions(index, selection))


def read_paths(file: Path) -> set[str]:
    """Those of all images."""
    with _open(file) as index:
        return {path for (path,) in index.execute("SELECT path FROM details")}


def read_images(file: Path) -> Iterator[IndexedImage]:
    """All, by their paths, with all boxes."""
    with _open(file) as index:
        for row in index.execute(f"{_JOINED} ORDER BY number"):
            yield _image(row, MAX_BOXES_PER_IMAGE)


class ImageContent(NamedTuple):
    """What images are compared by. `phash` is None for an image that is too uniform for one."""

    path: str
    sha256: str
    phash: bytes | None
    split: str


def read_contents(file: Path) -> list[ImageContent]:
    """Of all images, by their paths."""
    statement = "SELECT path, sha256, phash, split FROM details JOIN images USING (number) ORDER BY number"
    with _open(file) as index:
        return [
            ImageContent(path, sha256.hex(), phash, SPLITS[split])
            for path, sha256, phash, split in index.execute(statement)
        ]


def read_split(file: Path, split: str) -> list[IndexedImage]:
    """The images of a split, by their paths, without their boxes."""
    with _open(file) as index:
        rows = index.execute(f"{_JOINED} WHERE split = ? ORDER BY number", (SPLITS.index(split),))
        return [_image(row, 0) for row in rows]


class ImageSize(NamedTuple):
    """`width` and `height` in pixels of the upright image."""

    sha256: str
    width: int
    height: int


def find_paths(file: Path, paths: Collection[str]) -> dict[str, ImageSize]:
    """Those of `paths` that are images."""
    with _open(file) as index:
        _keep_paths(index, paths)
        rows = index.execute("SELECT path, sha256, width, height FROM details JOIN wanted USING (path)")
        return {path: ImageSize(sha256.hex(), width, height) for path, sha256, width, height in rows}


def find_image(file: Path, sha256: str, *, boxes: int) -> IndexedImage | None:
    """The first image by path whose file in the upload has this digest."""
    with _open(file) as index:
        statement = f"{_JOINED} WHERE sha256 = ? ORDER BY number LIMIT 1"
        row = index.execute(statement, (bytes.fromhex(sha256),)).fetchone()
    return None if row is None else _image(row, boxes)


def read_numbered(file: Path, numbers: Collection[int], *, boxes: int) -> dict[int, IndexedImage]:
    """The images with these numbers, some hundred at most, by number. Of each the first `boxes` boxes."""
    with _open(file) as index:
        return {number: _image(row, boxes) for number, row in _details(index, list(numbers))}


def read_named(file: Path, paths: Collection[str], *, boxes: int = 0) -> dict[str, IndexedImage]:
    """Those of `paths` that are images, by path. Of each the first `boxes` boxes."""
    with _open(file) as index:
        _keep_paths(index, paths)
        return {row[0]: _image(row, boxes) for row in index.execute(f"{_JOINED} JOIN wanted USING (path)")}


class ImageFacts(NamedTuple):
    """What decoding found besides. `orientation`: of EXIF, 1 to 8."""

    mode: str
    orientation: int
    frames: int


class Surroundings(NamedTuple):
    """The place of an image in a selection. `rank`, from 0, is None where the selection lacks it; then `previous` and
    `next` are those that it would be between. All are paths."""

    rank: int | None
    total: int
    previous: str | None
    next: str | None


def find_number(file: Path, name: str) -> int | None:
    """Of the image with this path, or else of the first by path whose file in the upload has this sha256."""
    with _open(file) as index:
        row = index.execute("SELECT number FROM details WHERE path = ?", (name,)).fetchone()
        if row is None and len(name) == _SHA256_DIGITS and set(name) <= _HEXADECIMAL:
            statement = "SELECT min(number) FROM details WHERE sha256 = ?"
            row = index.execute(statement, (bytes.fromhex(name),)).fetchone()
    return None if row is None else row[0]


def read_facts(file: Path, number: int) -> ImageFacts | None:
    """None for an image that was converted."""
    with _open(file) as index:
        row = index.execute("SELECT mode, orientation, frames FROM facts WHERE number = ?", (number,)).fetchone()
    return None if row is None else ImageFacts._make(row)


def read_numbers(file: Path, selection: Selection) -> dict[str, int]:
    """The number of each selected image, by its path."""
    with _open(file) as index:
        where, values = _conditions(index, selection)
        statement = f"SELECT path, number FROM details JOIN images USING (number) WHERE {where}"  # noqa: S608 - as above
        return dict(index.execute(statement, values))


def read_surroundings(file: Path, selection: Selection, number: int) -> Surroundings:
    column = SORTS[selection.sort]
    with _open(file) as index:
        where, values = _conditions(index, selection)
        (value,) = index.execute(f"SELECT {column} FROM images WHERE number = ?", (number,)).fetchone()  # noqa: S608 - as above
        # As above. Compared in one direction, and turned round for a descending order.
        counted = f"SELECT count(*), total(({column}, number) < (?, ?)), total(number = ?) FROM images WHERE {where}"  # noqa: S608 - as above
        count, lower, there = index.execute(counted, [value, number, number, *values]).fetchone()
        ends = []
        for sign, order in (("<", "DESC"), (">", "ASC")):
            nearest = (
                f"SELECT path FROM details WHERE number = (SELECT number FROM images WHERE {where} "  # noqa: S608 - as above
                f"AND ({column}, number) {sign} (?, ?) ORDER BY {column} {order}, number {order} LIMIT 1)"
            )
            row = index.execute(nearest, [*values, value, number]).fetchone()
            ends.append(None if row is None else str(row[0]))
    rank = int(count - lower - there) if selection.descending else int(lower)
    previous, following = reversed(ends) if selection.descending else ends
    return Surroundings(rank if there else None, count, previous, following)


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    """`immutable`: the file never changes, so nothing is locked, and it may be deleted meanwhile."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)) as index:
        yield index


def _page(
    index: sqlite3.Connection,
    selection: Selection,
    where: tuple[str, list[Any]],
    *,
    after: Position | None,
    limit: int,
    boxes: int,
) -> IndexPage:
    found = _positions(index, selection, where, after=after, limit=limit + 1)
    page = found[:limit]
    rows = {number: row for number, row in _details(index, [each.number for each in page])}
    images = [_image(rows[each.number], boxes) for each in page]
    return IndexPage(images, page[-1] if len(found) > limit else None)


def _count(index: sqlite3.Connection, where: tuple[str, list[Any]]) -> int:
    condition, values = where
    # `condition` is of constants with placeholders; what a user wrote is in `values`
    count: int = index.execute(f"SELECT count(*) FROM images WHERE {condition}", values).fetchone()[0]  # noqa: S608 - as above
    return count


def _positions(
    index: sqlite3.Connection,
    selection: Selection,
    where: tuple[str, list[Any]],
    *,
    after: Position | None,
    limit: int,
) -> list[Position]:
    column, order = SORTS[selection.sort], "DESC" if selection.descending else "ASC"
    condition, values = where
    if after is not None:
        condition += f" AND ({column}, number) {'<' if selection.descending else '>'} (?, ?)"
        values = [*values, *after]
    # as above; the column is one of the catalogue of sorts
    statement = (
        f"SELECT {column}, number FROM images WHERE {condition} ORDER BY {column} {order}, number {order} LIMIT ?"  # noqa: S608 - as above
    )
    return list(map(Position._make, index.execute(statement, [*values, limit])))


def _conditions(index: sqlite3.Connection, selection: Selection) -> tuple[str, list[Any]]:
    parts, values = ["true"], []
    if selection.split is not None:
        parts.append("split = ?")
        values.append(SPLITS.index(selection.split))
    if selection.class_id is not None:
        parts.append("number IN (SELECT number FROM classes WHERE class = ?)")
        values.append(selection.class_id)
    if selection.paths is not None:
        _keep_numbers(index, selection.paths)
        parts.append("number IN (SELECT number FROM chosen)")
    return " AND ".join(parts), values


def _keep_paths(index: sqlite3.Connection, paths: Collection[str]) -> None:
    """In a table of this connection: a statement takes at most some thousand parameters."""
    index.execute("PRAGMA temp_store = memory")
    index.execute("CREATE TEMPORARY TABLE wanted (path TEXT PRIMARY KEY) WITHOUT ROWID")
    index.execute("INSERT OR IGNORE INTO wanted SELECT value FROM json_each(?)", (json.dumps(sorted(paths)),))


def _keep_numbers(index: sqlite3.Connection, paths: Collection[str]) -> None:
    """Those of the images with these paths, in a table of this connection. CROSS JOIN: each path is looked up."""
    index.execute("PRAGMA temp_store = memory")
    index.execute("CREATE TEMPORARY TABLE chosen (number INTEGER PRIMARY KEY)")
    found = "SELECT number FROM json_each(?) AS named CROSS JOIN details ON details.path = named.value"
    index.execute(f"INSERT OR IGNORE INTO chosen {found}", (json.dumps(sorted(paths)),))


def _details(index: sqlite3.Connection, numbers: list[int]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    marks = ", ".join("?" * len(numbers))
    # `marks` are question marks
    statement = f"SELECT number, {_COLUMNS} FROM details JOIN images USING (number) WHERE number IN ({marks})"  # noqa: S608
    for number, *row in index.execute(statement, numbers):
        yield number, tuple(row)


def _image(row: tuple[Any, ...], boxes: int) -> IndexedImage:
    *values, packed = row
    image = IndexedImage._make([*values, ()])
    return image._replace(sha256=values[3].hex(), split=SPLITS[values[5]], boxes=unpack_boxes(packed, most=boxes))
