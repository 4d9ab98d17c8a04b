"""The tables of the image index, and how boxes are kept in them.

`number` counts images from 0 in the order of their paths. What filters and sorts read is a narrow table of its own: a
scan of 50,000 rows reads 2 MB. Splits are numbers, by their place in SPLITS.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.dataset.model import Box

INDEX_FILE = "images.sqlite"  # in the folder of a preparation
INDEX_VERSION = 1

TABLES = (
    """CREATE TABLE images (
        number INTEGER PRIMARY KEY, split INTEGER NOT NULL, label INTEGER, pixels INTEGER NOT NULL,
        boxes INTEGER NOT NULL, brightness REAL NOT NULL, blur REAL NOT NULL
    )""",
    """CREATE TABLE details (
        number INTEGER PRIMARY KEY, path TEXT NOT NULL, name TEXT NOT NULL, row INTEGER, sha256 BLOB NOT NULL,
        phash BLOB, format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, at INTEGER NOT NULL,
        bytes INTEGER NOT NULL, boxes BLOB NOT NULL
    )""",
    "CREATE TABLE classes (class INTEGER, number INTEGER, PRIMARY KEY (class, number)) WITHOUT ROWID",
    # What decoding found besides, of images that are kept as they are; `decoder` has one row, DECODER as it was then.
    """CREATE TABLE facts (
        number INTEGER PRIMARY KEY, mode TEXT NOT NULL, orientation INTEGER NOT NULL, frames INTEGER NOT NULL,
        odd TEXT NOT NULL, "end" INTEGER NOT NULL
    )""",
    "CREATE TABLE decoder (name TEXT NOT NULL)",
)
INDEXES = (
    "CREATE INDEX details_sha256 ON details (sha256)",
    "CREATE UNIQUE INDEX details_path ON details (path)",
)

_BOX = struct.Struct("<5i?")


class IndexedImage(NamedTuple):
    """A row. `name`, `row`, `at` and `bytes`: see `pipeline.layouts.tarball.Place`. `width` and `height` are upright.

    `path` is that of the manifest: in the upload, below the deepest folder that holds all images. `sha256` is of the
    file in the upload, `format` that of the file in the tar, which is another one where the image was converted.
    A reader may ask for fewer `boxes` than `box_count`.
    """

    path: str
    name: str
    row: int | None
    sha256: str
    phash: bytes | None
    split: str
    label: int | None
    width: int
    height: int
    format: str
    at: int
    bytes: int
    brightness: float
    blur: float
    box_count: int
    boxes: tuple[Box, ...]

    @property
    def class_ids(self) -> set[int]:
        return {box.class_id for box in self.boxes} if self.label is None else {self.label}


def pack_boxes(boxes: Iterable[Box]) -> bytes:
    return b"".join(_BOX.pack(*box) for box in boxes)


def unpack_boxes(content: bytes, *, most: int | None = None) -> tuple[Box, ...]:
    """All, or the first `most`."""
    return tuple(map(Box._make, box_values(content if most is None else content[: most * _BOX.size])))


def box_values(content: bytes) -> Iterator[tuple[int, int, int, int, int, bool]]:
    """The values of a Box, for each: to read them alone takes a third of the time."""
    return _BOX.iter_unpack(content)
