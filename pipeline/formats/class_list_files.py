"""Class lists with other names and forms: CSV, JSON and .pbtxt files, and text files whose lines begin with numbers."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, suffix_of
from pipeline.archive.source import SourceFile
from pipeline.formats.text import read_lines

_HINT = re.compile(r"class(es)?|classnames?|labels?|labelmaps?|names?|categor(y|ies)|synsets?|id2label|label2id|notes")
_WORDS = re.compile(r"[^a-z0-9]+")
_MAX_BYTES = 1 << 20
_MAX_NAMES = 10_000
_NUMBERED = re.compile(r"(\d{1,6})(?:[\s:,;=]+|[.)]\s+)(\S.*)")
_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_ITEM_ID = re.compile(r"\bid\s*:\s*(\d{1,6})")
_ITEM_NAME = re.compile(r"""\b(?:display_name|name)\s*:\s*["']([^"'\n]+)["']""")

Names = dict[int, str]


def is_named_as_list(name: str) -> bool:
    """Whether a word of the file name says that it lists classes."""
    stem = base_of(name).lower() if suffix_of(name) in ("", ".md") else bare_of(base_of(name)).lower()
    return any(map(_HINT.fullmatch, _WORDS.split(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem))))


def names_of_file(file: SourceFile) -> Names | None:
    """Class number -> name, as the file numbers them; None for a file of another content."""
    read = _READERS.get(suffix_of(file.name))
    if read is None or file.bytes > _MAX_BYTES or not is_named_as_list(file.name):
        return None
    lines = read_lines(file)
    found = read(lines) if lines is not None else None
    return found if found and len(found) <= _MAX_NAMES else None


def names_of_lines(lines: Iterable[str]) -> Names | None:
    """The names of lines that all begin with consecutive numbers, from 0 or 1; None for other text."""
    filled = [line.strip() for line in lines if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in filled]
    found = {int(match[1]): match[2].strip() for match in numbered if match}
    return found if len(found) == len(filled) and _is_consecutive(found) else None


def counted_from_0(names: Names, used: Callable[[], set[int]]) -> Names | None:
    """Names that are numbered from 1 as the labels number them; None where both ways fit. `used`: numbers of labels."""
    if min(names) == 0:
        return names
    numbers = used()
    if 0 in numbers:
        return {number - 1: name for number, name in names.items()}
    return names if max(names) in numbers else None


def used_numbers(files: Iterable[SourceFile]) -> set[int]:
    """The class numbers of label files, by the first column."""
    found: set[int] = set()
    for file in files:
        for line in read_lines(file) or ():
            number = line.split(None, 1)[0] if line.strip() else ""
            if number.isascii() and number.isdigit() and len(number) <= 6:
                found.add(int(number))
    return found


def likely_lists(files: Iterable[SourceFile], classes: int) -> list[str]:
    """Texts of as many lines as there are classes, under any name: they may be a list, which only their owner knows."""
    texts = [file for file in files if suffix_of(file.name) == ".txt" and file.bytes <= _MAX_BYTES]
    found = {file.name: _of_text(read_lines(file) or []) for file in texts}
    return [name for name, names in found.items() if names and classes > 1 and len(names) == classes]


def unread_lists(left_out: Sequence[str]) -> list[Finding]:
    """Errors for files that are named as lists of classes are, and are of a kind that is not read."""
    names = [name for name in left_out if suffix_of(name) in ("", ".md", ".cfg") and _lists(name)]
    detail = "The file is named as a list of classes is, and is not read; without it the classes have only numbers."
    return [Finding.of("class-list-unread", name, detail) for name in names[:5]]


def _lists(name: str) -> bool:
    return is_named_as_list(name) and "license" not in name.lower()


def _is_consecutive(names: Mapping[int, str]) -> bool:
    return bool(names) and min(names) in (0, 1) and max(names) - min(names) + 1 == len(names)


def _of_text(lines: list[str]) -> Names | None:
    """One name in each line, with or without its number."""
    if numbered := names_of_lines(lines):
        return numbered
    names = [line.strip() for line in lines if line.strip()]
    return dict(enumerate(names)) if names and not any(map(_is_prose, names)) else None


def _is_prose(line: str) -> bool:
    """Headings, sentences, paths and rows of numbers are no names of classes."""
    return len(line) > 60 or line.endswith((".", ":")) or "/" in line or not re.search(r"[^\W\d]", line)


def _of_table(lines: list[str]) -> Names | None:
    """Two columns, one of numbers: `ant,0` or `0,ant`; or one of names."""
    filled = [line for line in lines if line.strip()]
    delimiter = max(",;\t", key=filled[0].count) if filled else ","
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(filled, delimiter=delimiter)]
    except csv.Error:
        return None
    if rows and all(len(row) == 1 for row in rows):
        return _of_text([row[0] for row in rows])
    for number, name in ((0, 1), (1, 0)):
        pairs = [(row[number], row[name]) for row in rows if len(row) == 2]
        body = pairs if pairs and pairs[0][0].isdigit() else pairs[1:]  # without a header
        if len(pairs) == len(rows) and body and all(_is_number(key) and value for key, value in body):
            return _unique((int(key), value) for key, value in body)
    return None


def _of_json(lines: list[str]) -> Names | None:
    try:
        value = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    inner = value if isinstance(value, dict) else {}
    if "annotations" in inner:
        return None  # COCO, whose ids are its own
    for key in ("categories", "names", "classes", "labels", "id2label"):
        if isinstance(inner.get(key), list | dict):
            return _of_value(inner[key])
    return _of_value(value)


def _of_value(value: Any) -> Names | None:
    if isinstance(value, list):
        if value and all(isinstance(each, str) for each in value):
            return dict(enumerate(value))
        pairs = [(each.get("id"), each.get("name")) for each in value if isinstance(each, dict)]
        return _numbered(pairs) if len(pairs) == len(value) else None
    if isinstance(value, dict):
        pairs = list(value.items())
        return _numbered(pairs) or _numbered([(number, name) for name, number in pairs])
    return None


def _numbered(pairs: Sequence[tuple[Any, Any]]) -> Names | None:
    if not pairs or not all(_is_number(str(number)) and isinstance(name, str) for number, name in pairs):
        return None
    return _unique((int(number), name) for number, name in pairs)


def _of_pbtxt(lines: list[str]) -> Names | None:
    items = [(_ITEM_ID.search(item), _ITEM_NAME.search(item)) for item in _ITEM.findall("\n".join(lines))]
    pairs = [(int(number[1]), name[1]) for number, name in items if number and name]
    return _unique(pairs) if len(pairs) == len(items) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _unique(pairs: Iterable[tuple[int, str]]) -> Names | None:
    found = list(pairs)
    names = dict(found)
    are_different = len(names) == len(found) == len(set(names.values()))  # else a table of classes of images
    return names if are_different and _is_consecutive(names) else None


_READERS: Mapping[str, Callable[[list[str]], Names | None]] = {
    ".txt": _of_text,
    ".lst": _of_text,
    ".list": _of_text,
    ".csv": _of_table,
    ".tsv": _of_table,
    ".json": _of_json,
    ".pbtxt": _of_pbtxt,
}
