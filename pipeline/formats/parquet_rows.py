"""The rows of parquet files, as they were unpacked: JSON Lines beside the images, which lie at the paths of their rows.

The first line of `darkroom-parquet.jsonl` is `{"schema", "kind", "classes", "tables"}`; then, for each row, `{"at":
[number of the table, row], "path", "split", "size"}` with `label` or `objects` ([class, [left, top, width, height],
difficult, crowd]), where a class is a name or the number of one of `classes`; then `{"notes"}` about all of it. With
`export` the tables are of an export of a dataset: its boxes are in pixels. Findings name the table and its row.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.domain.finding_codes import FINDING_CODES
from core.domain.findings import Finding, FindingList
from pipeline.archive.entry_names import base_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, RawBox, RepairedItem
from pipeline.formats.box_limits import add_box, require_boxes, require_entries
from pipeline.formats.coordinates import exact, settle_units
from pipeline.formats.json_lines import Record, read_records
from pipeline.formats.json_stream import JsonBroken
from pipeline.formats.listed import ListedImage, item_of
from pipeline.formats.text import class_name_fault, clean_label, thousandths

ROWS_FILE = "darkroom-parquet.jsonl"
SCHEMA = "darkroom-parquet/1"
EXPORT = "export"
_KINDS = ("detection", "classification")
_BOX, _OBJECT = 4, 4  # values


@dataclass(slots=True)
class _Rows:
    """What was read: by the path of the image."""

    file: SourceFile
    classes: list[str]
    tables: list[SourceFile]
    is_export: bool
    of: dict[str, ListedImage] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    findings: FindingList = field(default_factory=FindingList)
    lost: int = 0
    is_whole: bool = True
    boxes: int = 0
    crowds: list[tuple[str, int]] = field(default_factory=list)


def rows_file(source: ExtractedArchive) -> SourceFile | None:
    return next((file for file in source.files if base_of(file.name) == ROWS_FILE), None)


def missing_in(source: ExtractedArchive, kind: str) -> str | None:
    """None where the archive was unpacked from tables of this kind; else what is missing."""
    file = rows_file(source)
    if file is None:
        return "no Parquet files with images."
    head = _read_head(file)
    if head is None:
        return f"{file.name} does not begin with a line of the schema {SCHEMA}."
    return None if head["kind"] == kind else f"the Parquet files are of the kind {head['kind']}."


def read_unpacked(source: ExtractedArchive, name: str, kind: str) -> Dataset:
    """Of an archive for which `missing_in` returned None. Raises LimitReached."""
    file = rows_file(source)
    assert file is not None  # noqa: S101 - for the type checker
    rows = _read(file, kind)
    if kind == "detection" and not rows.is_export:
        _, findings = settle_units(list(rows.of.values()))
        rows.findings += findings
        rows.unusable |= {path for path, entry in rows.of.items() if not entry.usable}
    root = file.name[: -len(ROWS_FILE)]
    images = [each for each in source.files if is_image(each.name)]
    items = tuple(item_of(each, rows.of.get(each.name.removeprefix(root))) for each in images)
    broken = {item.image.name for item in items if item.image.name.removeprefix(root) in rows.unusable}
    if not rows.is_whole:
        broken = {item.image.name for item in items}
    labels = {box.label for item in items for box in item.boxes} | {item.label for item in items}
    order = tuple(dict.fromkeys(each for each in rows.classes if each in labels))
    return Dataset(kind, name, items, rows.findings, frozenset(broken), rows.lost, frozenset({file.name}), order)


def rewritten(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """The same file for the items that a repair keeps."""
    file = rows_file(source)
    assert file is not None  # noqa: S101 - for the type checker
    head = _read_head(file)
    assert head is not None  # noqa: S101 - as above
    root = file.name[: -len(ROWS_FILE)]
    tables = {str(name): number for number, name in reversed(list(enumerate(head["tables"])))}
    lines = [_text(head | {EXPORT: True})]  # the boxes of a repair are in pixels
    for item, *_ in kept:
        if not item.annotation:
            continue
        line: Record = {"at": [tables.get(item.annotation, 0), item.size_line or 1]}
        line |= {"path": item.image.name.removeprefix(root), "split": item.split, "size": item.size}
        if head["kind"] == "classification":
            line["label"] = item.label
        else:
            line["objects"] = [
                [b.label, [e / 1000 for e in (b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1)], b.difficult, False]
                for b in item.boxes
            ]
        lines.append(_text(line))
    yield file.name, "".join(lines).encode()


def _text(value: Record) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _read_head(file: SourceFile) -> Record | None:
    try:
        head = next(read_records(file), (0, {}))[1]
    except JsonBroken:
        return None
    classes, tables = head.get("classes"), head.get("tables")
    valid = head.get("schema") == SCHEMA and head.get("kind") in _KINDS and isinstance(tables, list) and tables
    return head if valid and (classes is None or isinstance(classes, list)) else None


def _read(file: SourceFile, kind: str) -> _Rows:
    head = _read_head(file)
    assert head is not None  # noqa: S101 - for the type checker
    tables = [SourceFile(str(name), file.file, 0, "") for name in head["tables"]]
    rows = _Rows(file, [], tables, head.get(EXPORT) is True)
    rows.classes = list(_classes(rows, head["classes"] or []))
    records = read_records(file)
    next(records)
    try:
        for number, record in records:
            if "notes" in record:
                rows.findings += _notes(record["notes"])
            else:
                require_entries(file, len(rows.of) + 1, number)
                _add(rows, number, record, kind)
    except JsonBroken as broken:
        rows.is_whole = False
        rows.findings.add("json-invalid", file.name, f"The JSON Lines cannot be read: {broken.detail}", broken.line)
    if rows.crowds:
        path, row = rows.crowds[0]
        detail = f"{counted(len(rows.crowds), 'box', 'boxes')} around groups of objects left out."
        rows.findings.add("crowds-left-out", path, detail, row)
    return rows


def _classes(rows: _Rows, stated: list[Any]) -> Iterator[str]:
    """With an empty name in the place of one that cannot be used."""
    seen: set[str] = set()
    for each in stated:
        name = clean_label(each) if isinstance(each, str) else ""
        fault = class_name_fault(name) if name else ("class-name-empty", "A class has no name.")
        if fault is None and name in seen:
            rows.findings.add("class-name-twice", rows.tables[0].name, f"Two classes are named {name!r}.")
        elif fault:
            rows.findings.add(fault[0], rows.tables[0].name, fault[1])
        seen.add(name)
        yield "" if fault else name


def _notes(stated: Any) -> Iterator[Finding]:
    for each in stated if isinstance(stated, list) else []:
        if isinstance(each, list) and len(each) == 4 and each[0] in FINDING_CODES:
            yield Finding.of(each[0], str(each[1]), str(each[2]), line=each[3] if isinstance(each[3], int) else None)


def _add(rows: _Rows, number: int, record: Record, kind: str) -> None:
    at, path = record.get("at"), record.get("path")
    numbers = at if isinstance(at, list) and len(at) == 2 and all(type(each) is int for each in at) else [0, number]
    table = rows.tables[numbers[0]] if 0 <= numbers[0] < len(rows.tables) else rows.tables[0]
    fault = record.get("fault")
    if isinstance(fault, list) and len(fault) == 2 and fault[0] in FINDING_CODES:
        rows.lost += 1
        return rows.findings.add(fault[0], table.name, str(fault[1]), numbers[1])
    if not isinstance(path, str) or not path:
        rows.is_whole = False  # it may be about any image
        return rows.findings.add("json-entry-invalid", rows.file.name, "The line has no `path`.", number)
    if path in rows.of:
        rows.unusable.add(path)
        detail = f"The image {path[:200]} has a row already."
        return rows.findings.add("image-annotated-twice", table.name, detail, numbers[1])
    split = record.get("split")
    entry = ListedImage(table, path, numbers[1], _size(record.get("size")), split=split if split in SPLITS else None)
    rows.of[path] = entry
    if kind == "classification":
        _add_label(rows, entry, record.get("label"))
    else:
        _add_boxes(rows, entry, record.get("objects"))
    return None


def _add_label(rows: _Rows, entry: ListedImage, stated: Any) -> None:
    """A row without a class, or with the -1 of the hub, is one of an image without a class."""
    if stated is not None and stated != -1:
        entry.label = _label(rows, entry, stated)


def _add_boxes(rows: _Rows, entry: ListedImage, objects: Any) -> None:
    for each in objects if isinstance(objects, list) else []:
        if not isinstance(each, list) or len(each) != _OBJECT:
            _fault(rows, entry, "json-entry-invalid", "An object is not a class, a box and two flags.")
            continue
        stated, values, difficult, crowd = each
        if crowd:
            rows.crowds.append((entry.file.name, entry.line or 1))
            continue
        label = _label(rows, entry, stated)
        edges = _edges(rows, entry, values, label) if label else None
        if label and edges:
            rows.boxes += 1
            require_boxes(entry.file, rows.boxes, entry.line)
            add_box(entry, RawBox(label, *edges, difficult is True, entry.line))


def _label(rows: _Rows, entry: ListedImage, stated: Any) -> str | None:
    """None for an error, which is reported."""
    if type(stated) is int and rows.classes:
        label = rows.classes[stated] if 0 <= stated < len(rows.classes) else ""
        if not label:
            _fault(rows, entry, "class-id-unknown", f"The class is {stated}; {len(rows.classes)} classes have names.")
        return label or None
    label = clean_label(str(stated)) if isinstance(stated, str) or type(stated) is int else ""
    fault = class_name_fault(label) if label else ("class-name-empty", "An object has no class.")
    if fault:
        _fault(rows, entry, *fault)
    return None if fault else label


def _edges(rows: _Rows, entry: ListedImage, values: Any, label: str) -> tuple[int, int, int, int] | None:
    """In 1/1000 px for an export, else in the units of `exact`. None for an error, which is reported."""
    if not isinstance(values, list) or len(values) != _BOX:
        _fault(rows, entry, "box-missing", f"An object of the class {label[:100]!r} has no box of four numbers.")
        return None
    texts = ["" if value is None or isinstance(value, bool | str) else str(value) for value in values]
    numbers = [thousandths(text) if rows.is_export else exact(text) for text in texts]
    found = [number for number in numbers if number is not None]
    if len(found) < _BOX:
        _fault(rows, entry, "box-not-a-number", "A coordinate is no finite number, or beyond any image.")
        return None
    left, top, width, height = found
    return left, top, left + width, top + height


def _fault(rows: _Rows, entry: ListedImage, code: str, detail: str) -> None:
    rows.unusable.add(entry.name)
    rows.findings.add(code, entry.file.name, detail, entry.line)


def _size(stated: Any) -> tuple[int, int] | None:
    is_size = isinstance(stated, list) and len(stated) == 2 and all(type(side) is int and side > 0 for side in stated)
    return (stated[0], stated[1]) if is_size else None
