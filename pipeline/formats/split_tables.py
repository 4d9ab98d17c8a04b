"""Splits in tables, JSON and YAML beside the labels: `image,split` in a CSV, `{"train": [...], "val": [...]}` in a JSON
or YAML, or the images of one part in a file with its name (`val.csv`, `val.json`)."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.archive.encodings import UnknownEncoding, decode
from pipeline.archive.entry_names import folder_of, suffix_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.formats.split_files import part_of_list
from pipeline.formats.split_lines import ImageLines, ImageList
from pipeline.formats.split_names import TRAINVAL, split_of_file, split_of_folder
from pipeline.formats.split_sources import SplitSource
from pipeline.formats.split_yaml import read_split_yaml
from pipeline.formats.table_columns import class_columns, part_of_cell, split_columns
from pipeline.formats.tables import SUFFIXES, Table, TableBroken, is_empty, open_table
from pipeline.formats.text import MAX_TEXT_BYTES, read_lines
from pipeline.formats.yolo_yaml import YAML_SUFFIXES

_NAME_KEYS = ("file_name", "filename", "image", "path", "file", "name")
_RECORD_KEYS = {*_NAME_KEYS, "id", "image_id", "split"}
_Json = dict[str, Any] | list[Any]
_HEAD = 4096  # bytes, among which a part of a split is named


@dataclass(slots=True)
class SplitTables:
    """`used`: files that hold nothing but a split. `strange`: those of YAML that hold out images that are not there."""

    sources: list[SplitSource] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    strange: list[ImageList] = field(default_factory=list)


def read_split_tables(files: Sequence[SourceFile], lines: ImageLines, *, root: str) -> SplitTables:
    """`files`: without those of labels; `root`: of all images."""
    tables = SplitTables()
    named: list[SplitSource] = []
    for file in (file for file in files if file.name.lower().endswith((".json", *YAML_SUFFIXES, *SUFFIXES))):
        part = part_of_list(file.name, root)
        part = None if part == TRAINVAL else part
        if suffix_of(file.name) in SUFFIXES:
            table = open_table(file)
            found = _of_table(table, lines) if table else {}
            if found and table and (len(table.keys) == 2 or isinstance(class_columns(table.keys), str)):
                tables.used.add(file.name)
            if part and not found and (names := _of_names(file, part, lines)):
                named += _sources(file.name, names)
                tables.used |= {file.name} if table is None else set()
        else:
            document = _document(file, part)
            found = _of_json(document, part, folder_of(file.name), lines)
            if found and _is_split_alone(document):
                tables.used.add(file.name)
            if not found and suffix_of(file.name) in YAML_SUFFIXES:
                tables.strange += _strange(file, document, lines)
        if found:
            tables.sources += _sources(file.name, found)
    if any(split in HELD_OUT_SPLITS for each in named for split in each.of.values()):  # else it is a table of labels
        tables.sources += named
    return tables


def _sources(name: str, found: Mapping[str, list[str]]) -> Iterator[SplitSource]:
    for split, images in found.items():
        yield SplitSource(name, name, dict.fromkeys(images, split))


def _of_table(table: Table, lines: ImageLines) -> dict[str, list[str]]:
    """Split -> images; empty where a row has another value, or most rows name no image."""
    columns = split_columns(table.keys)
    if columns is None:
        return {}
    image, split = columns
    folder = folder_of(table.file.name)
    found: dict[str, list[str]] = {}
    named = rows = 0
    try:
        for _, cells in table.rows():
            value = part_of_cell(table.keys[split], cells[split]) if len(cells) > split else ""
            part = split_of_folder(value)
            if part is None and not is_empty(value):
                return {}
            images = lines.images_of(cells[image], folder) if len(cells) > image else []
            rows, named = rows + 1, named + bool(images)
            if part:
                found.setdefault(part, []).extend(images)
    except TableBroken:
        return {}
    return found if 2 * named > rows else {}


def _of_names(file: SourceFile, part: str, lines: ImageLines) -> dict[str, list[str]]:
    """The images of a table of one `part`, in the column that names most of them; a name with a suffix is better."""
    texts = [line for line in read_lines(file) or () if line.strip()]
    delimiter = max(",;\t", key=texts[0].count) if texts else ","
    try:
        rows = list(csv.reader(texts, delimiter=delimiter))
    except csv.Error:
        return {}
    folder = folder_of(file.name)
    best: list[list[str]] = []
    best_rank = (0, 0)
    for column in range(max(map(len, rows), default=0)):
        cells = [row[column] for row in rows if len(row) > column]
        images = [lines.images_of(cell, folder) for cell in cells]
        rank = sum(map(bool, images)), sum(map(is_image, cells))
        if rank > best_rank:
            best, best_rank = images, rank
    if 2 * best_rank[0] <= len(rows) - 1:
        return {}
    return {part: [name for names in best for name in names]}


def _of_json(document: _Json, part: str | None, folder: str, lines: ImageLines) -> dict[str, list[str]]:
    stated = list(_stated(document)) or [(part, name) for name in _names_alone(document) if part]
    found: dict[str, list[str]] = {}
    named = 0
    for split, text in stated:
        images = lines.images_of(text, folder)
        named += bool(images)
        found.setdefault(split, []).extend(images)
    return found if stated and 2 * named > len(stated) else {}


def _strange(file: SourceFile, document: _Json, lines: ImageLines) -> Iterator[ImageList]:
    """A list of the images that `document` holds out, where most are not in the archive."""
    held = [text for split, text in _stated(document) if split in HELD_OUT_SPLITS and is_image(text)]
    unknown = sum(not lines.images_of(text, folder_of(file.name)) for text in held)
    if held:
        yield ImageList(file, lines=len(held), unknown=unknown, names_files=unknown)


def _names_alone(document: _Json) -> Iterator[str]:
    """The images of `["1.jpg", {"file_name": "2.jpg"}]`; none where records hold anything else."""
    if isinstance(document, list) and all(isinstance(each, str) or _is_name_alone(each) for each in document):
        yield from filter(None, map(_name_of, document))


def _is_split_alone(document: _Json) -> bool:
    return isinstance(document, dict) or all(
        isinstance(each, str) or _is_name_alone(each) or _is_fold(each) for each in document
    )


def _is_name_alone(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= _RECORD_KEYS


def _is_fold(value: Any) -> bool:
    return isinstance(value, dict) and all(map(split_of_file, value))


def _document(file: SourceFile, part: str | None) -> _Json:
    """Empty for a file that is large, broken, neither a mapping nor a list, or that names no part."""
    head = file.byte_range.read(_HEAD).lower().replace(b"\0", b"")
    names_part = part or any(word in head for word in (b"train", b"val", b"test", b"dev", b"hold"))
    if file.bytes > MAX_TEXT_BYTES or not names_part:
        return {}
    if suffix_of(file.name) in YAML_SUFFIXES:
        return read_split_yaml(file)
    try:
        document = json.loads(decode(file.byte_range.read()))
    except (UnknownEncoding, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict | list) else {}


def _stated(document: _Json) -> Iterator[tuple[str, str]]:
    if isinstance(document, list):
        yield from _by_record(document)
        yield from (stated for fold in document if _is_fold(fold) for stated in _by_part(fold))
    else:
        yield from _by_part(document)
        yield from _by_image(document)


def _by_part(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(split, text that names an image) of `{"train": ["1.jpg"], "val": [{"file_name": "2.jpg"}]}`, or in `{"splits":
    {"train": ...}}`."""
    below = [value for value in document.values() if isinstance(value, dict)]
    for key, values in [pair for each in (document, *below) for pair in each.items()]:
        split = split_of_file(key)
        if split and isinstance(values, list):
            yield from ((split, text) for value in values if (text := _name_of(value)))


def _by_image(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of `{"1.jpg": "train"}`, where every value is a part."""
    stated = [(split_of_folder(value) if isinstance(value, str) else None, name) for name, value in document.items()]
    if all(split for split, _ in stated):
        yield from ((split, name) for split, name in stated if split)


def _by_record(document: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """The same of `[{"file_name": "1.jpg", "split": "train"}]`."""
    for record in document:
        value = record.get("split") if isinstance(record, dict) else None
        split = split_of_folder(value) if isinstance(value, str) else None
        if split and (name := _name_of(record)):
            yield split, name


def _name_of(value: Any) -> str:
    if isinstance(value, dict):
        value = next((value[key] for key in _NAME_KEYS if key in value), "")
    return value if isinstance(value, str) else ""
