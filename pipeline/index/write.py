"""Writing the image index."""

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice, starmap
from pathlib import Path

from pipeline.dataset.model import SPLITS, DatasetImage
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.image import DECODER
from pipeline.decode.image_facts import Traits
from pipeline.index.schema import INDEX_VERSION, INDEXES, TABLES, IndexedImage, pack_boxes
from pipeline.layouts.tarball import Place

_CONVERTED = "PNG"
_ROWS_AT_ONCE = 1000
_INSERT_IMAGE = "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_DETAILS = "INSERT INTO details VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FactsRow = tuple[int, Traits, int]
_NUMBERS = {split: number for number, split in enumerate(SPLITS)}


def index_set(dataset: ValidatedDataset, places: Mapping[str, Place], target: Path) -> None:
    """`places`: of each image in the tar, by its path. Raises OSError."""
    images = sorted(dataset.images, key=lambda image: image.path)
    facts = ((number, each.traits, each.end) for number, each in enumerate(images) if each.traits is not None)
    write_index(_rows(dataset, images, places), target, facts)


def write_index(images: Iterable[IndexedImage], target: Path, facts: Iterable[_FactsRow] = ()) -> None:
    """`images` in the order of their paths; `facts`: (number of an image, its traits, its end). Raises OSError."""
    try:
        _write(images, target, facts)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, str(error), str(target)) from error


def _write(images: Iterable[IndexedImage], target: Path, facts: Iterable[_FactsRow]) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as index:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"user_version = {INDEX_VERSION}"):
            index.execute(f"PRAGMA {pragma}")
        index.execute("BEGIN")
        for statement in TABLES:
            index.execute(statement)
        classes: list[tuple[int, int]] = []
        for part in _batches(enumerate(images)):
            index.executemany(_INSERT_IMAGE, starmap(_narrow, part))
            index.executemany(_INSERT_DETAILS, starmap(_details, part))
            classes += [(class_id, number) for number, image in part for class_id in image.class_ids]
        index.executemany("INSERT INTO classes VALUES (?, ?)", sorted(classes))
        index.execute("INSERT INTO decoder VALUES (?)", (DECODER,))
        rows = ((number, *traits, end) for number, traits, end in facts)
        index.executemany("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)
        for statement in INDEXES:
            index.execute(statement)
        index.execute("COMMIT")


def _rows(
    dataset: ValidatedDataset, images: Iterable[DatasetImage], places: Mapping[str, Place]
) -> Iterator[IndexedImage]:
    for image in images:
        place = places[image.path]
        yield IndexedImage(
            path=image.path,
            name=place.name,
            row=place.row,
            sha256=image.sha256,
            phash=image.phash,
            split=dataset.splits[image.path],
            label=image.label,
            width=image.width,
            height=image.height,
            format=_CONVERTED if image.converted else image.format,
            at=place.at,
            bytes=place.bytes,
            brightness=image.brightness,
            blur=image.blur,
            box_count=len(image.boxes),
            boxes=image.boxes,
        )


def _batches(numbered: Iterator[tuple[int, IndexedImage]]) -> Iterator[list[tuple[int, IndexedImage]]]:
    while part := list(islice(numbered, _ROWS_AT_ONCE)):
        yield part


def _narrow(number: int, image: IndexedImage) -> tuple[object, ...]:
    split, pixels, boxes = _NUMBERS[image.split], image.width * image.height, image.box_count
    return number, split, image.label, pixels, boxes, image.brightness, image.blur


def _details(number: int, image: IndexedImage) -> tuple[object, ...]:
    sha256, boxes = bytes.fromhex(image.sha256), pack_boxes(image.boxes)
    place = (image.at, image.bytes)
    size = (image.width, image.height)
    return number, image.path, image.name, image.row, sha256, image.phash, image.format, *size, *place, boxes
