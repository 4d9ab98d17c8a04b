"""Splits in tables and JSON beside the labels: `image,split` in a CSV, `{"train": [...], "val": [...]}` in a JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.archive.encodings import UnknownEncoding, decode
from pipeline.archive.entry_names import folder_of, suffix_of
from pipeline.archive.source import SourceFile
from pipeline.formats.split_lines import ImageLines
from pipeline.formats.split_names import split_of_file, split_of_folder
from pipeline.formats.split_sources import SplitSource
from pipeline.formats.table_columns import class_columns, split_columns
from pipeline.formats.tables import SUFFIXES, Table, TableBroken, is_empty, open_table
from pipeline.formats.text import MAX_TEXT_BYTES

_NAME_KEYS = ("file_name", "filename", "image", "path", "file", "name")
_HEAD = 4096  # bytes, among which a part of a split is named


def read_split_tables(files: Sequence[SourceFile], lines: ImageLines) -> tuple[list[SplitSource], set[str]]:
    """(sources, files that hold nothing but a split). `files`: without those of labels."""
    sources: list[SplitSource] = []
    used: set[str] = set()
    for file in (file for file in files if file.name.lower().endswith((".json", *SUFFIXES))):
        if suffix_of(file.name) in SUFFIXES:
            table = open_table(file)
            found = _of_table(table, lines) if table else {}
            if found and table and (len(table.keys) == 2 or isinstance(class_columns(table.keys), str)):
                used.add(file.name)
        else:
            found = _of_json(file, lines)
            used.update({file.name} if found else ())
        if found:
            sources += _sources(file.name, found)
    return sources, used


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
            value = cells[split] if len(cells) > split else ""
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


def _of_json(file: SourceFile, lines: ImageLines) -> dict[str, list[str]]:
    document = _document(file)
    stated = [*_by_part(document), *_by_image(document)]
    folder = folder_of(file.name)
    found: dict[str, list[str]] = {}
    named = 0
    for split, text in stated:
        images = lines.images_of(text, folder)
        named += bool(images)
        found.setdefault(split, []).extend(images)
    return found if stated and 2 * named > len(stated) else {}


def _document(file: SourceFile) -> dict[str, Any]:
    """Empty for a JSON that is large, broken, or no mapping."""
    head = file.byte_range.read(_HEAD).lower().replace(b"\0", b"")
    if file.bytes > MAX_TEXT_BYTES or not any(word in head for word in (b"train", b"val", b"test", b"dev", b"hold")):
        return {}
    try:
        document = json.loads(decode(file.byte_range.read()))
    except (UnknownEncoding, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _by_part(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(split, text that names an image) of `{"train": ["1.jpg"], "val": [{"file_name": "2.jpg"}]}`."""
    for key, values in document.items():
        split = split_of_file(key)
        if split and isinstance(values, list):
            yield from ((split, text) for value in values if (text := _name_of(value)))


def _by_image(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of `{"1.jpg": "train"}`, where every value is a part."""
    stated = [(split_of_folder(value) if isinstance(value, str) else None, name) for name, value in document.items()]
    if all(split for split, _ in stated):
        yield from ((split, name) for split, name in stated if split)


def _name_of(value: Any) -> str:
    if isinstance(value, dict):
        value = next((value[key] for key in _NAME_KEYS if key in value), "")
    return value if isinstance(value, str) else ""
