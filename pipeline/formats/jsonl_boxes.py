"""JSON Lines of boxes: one object for each image, as Azure ML and the imagefolder of the Hugging Face hub have it.

Azure ML: `image_url`, `label` with `topX`, `topY`, `bottomX`, `bottomY` in fractions. The hub: `file_name`, `objects`
with `bbox` as left, top, width and height, and a list of classes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, RawBox, RepairedItem, root_of
from pipeline.formats.box_limits import require_entries
from pipeline.formats.coordinates import exact, settle_units
from pipeline.formats.json_lines import Record, json_lines_of, read_records
from pipeline.formats.json_stream import JsonBroken
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed, numeric_names_finding, split_of_value
from pipeline.formats.text import WrittenNames, class_name_fault, thousandths

NAME = "jsonl"
IMAGE_KEYS = ("file_name", "image_url", "image_path", "filename", "image", "path")
_CLASS_KEYS = ("categories", "category", "labels", "label", "classes", "class")
_AZURE = ("topX", "topY", "bottomX", "bottomY")
_TRIED_RECORDS = 50


@dataclass(slots=True)
class _Document:
    report: Report
    listed: list[ListedImage] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)
    lost: int = 0
    is_whole: bool = True


def matches(source: ExtractedArchive) -> str | None:
    files = json_lines_of(source)
    if not files:
        return "no JSON Lines files in the archive."
    if not any(map(_has_boxes, files)):
        return f"{counted(len(files), 'JSON Lines file')}, none with an image and its boxes in a line."
    return None


def read(source: ExtractedArchive) -> Dataset:
    written = WrittenNames()
    documents = [_read_document(file, written) for file in json_lines_of(source) if _has_boxes(file)]
    listed = [entry for document in documents for entry in document.listed]
    unit, unit_findings = settle_units(listed)
    findings = [*written.findings(), *unit_findings]
    for document in documents:
        _note_document(document, unit)
        findings += document.report.findings
    matched = match_listed(listed, source)
    matched.lost += sum(document.lost for document in documents)
    is_whole = all(document.is_whole for document in documents)
    return dataset_of(source, NAME, "detection", matched, findings, is_whole=is_whole)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """One metadata.jsonl in the form of the hub, with the boxes in pixels."""
    root = root_of(kept)
    lines: list[str] = []
    for item, *_ in kept:
        if not item.annotation:
            continue
        record: Record = {"file_name": item.image.name[len(root) :]}
        if item.size:
            record |= {"width": item.size[0], "height": item.size[1]}
        if item.split:
            record["split"] = item.split
        boxes = [[edge / 1000 for edge in (b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1)] for b in item.boxes]
        record["objects"] = {"bbox": boxes, "categories": [box.label for box in item.boxes]}
        lines.append(json.dumps(record, ensure_ascii=False))
    yield f"{root}metadata.jsonl", "".join(f"{line}\n" for line in lines).encode()


def image_name_of(record: Record) -> str:
    """The file name or path that a record states, without scheme and query of an address; empty for none."""
    name = next((record[key] for key in IMAGE_KEYS if isinstance(record.get(key), str)), "")
    return urlsplit(name).path if "://" in name else str(name)


def _has_boxes(file: SourceFile) -> bool:
    """Whether one of the first records has an image and boxes, or the file breaks before."""
    try:
        for number, (_, record) in enumerate(read_records(file)):
            if image_name_of(record) and _objects_of(record):
                return True
            if number == _TRIED_RECORDS:
                break
    except JsonBroken:
        return False
    return False


def _read_document(file: SourceFile, written: WrittenNames) -> _Document:
    document = _Document(Report(file))
    try:
        for line, record in read_records(file):
            _read_record(document, line, record, written)
    except JsonBroken as broken:
        document.is_whole = False
        document.report.add("json-invalid", f"The JSON Lines cannot be read: {broken.detail}", broken.line)
    return document


def _read_record(document: _Document, line: int, record: Record, written: WrittenNames) -> None:
    name = image_name_of(record)
    if not name:
        document.lost += 1
        document.report.add("json-entry-invalid", "The line names no image.", line)
        return
    entry = ListedImage(document.report.file, name, line, _size(record), split=_split(record))
    document.listed.append(entry)
    require_entries(document.report.file, len(document.listed), line)
    objects = _objects_of(record)
    if objects is None:
        entry.usable = False
        document.report.add("json-entry-invalid", "The line has no list of boxes with as many classes.", line)
        return
    for label, box in objects:
        if isinstance(box, dict) and box.get("isCrowd") in (1, True):
            document.crowds.append(line)
        elif raw := _box(document.report, line, label, box, written):
            document.report.add_box(entry, raw)
        else:
            entry.usable = False


def _objects_of(record: Record) -> list[tuple[Any, Any]] | None:
    """(class, box) of each object; None where the record has no objects, or boxes and classes in unequal numbers."""
    found = record.get("objects", record.get("label"))
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return [(_class_of(each), each if _AZURE[0] in each else each.get("bbox")) for each in found]
    if isinstance(found, dict) and isinstance(found.get("bbox"), list):
        classes = _class_of(found)
        if isinstance(classes, list) and len(classes) == len(found["bbox"]):
            return list(zip(classes, found["bbox"], strict=True))
    return None


def _class_of(record: Record) -> Any:
    return next((record[key] for key in _CLASS_KEYS if key in record), None)


def _box(report: Report, line: int, name: Any, box: Any, written: WrittenNames) -> RawBox | None:
    """In 1/UNIT; None for an error, which is reported."""
    is_name = isinstance(name, str | int) and not isinstance(name, bool)
    label = written.clean(str(name), report.file.name, line) if is_name else ""
    if not label:
        report.add("class-name-empty", "A box has no class.", line)
        return None
    if fault := class_name_fault(label):
        report.add(*fault, line)
        return None
    values = [box.get(key) for key in _AZURE] if isinstance(box, dict) else box
    if not isinstance(values, list) or len(values) != len(_AZURE):
        report.add("box-missing", f"An object of the class {label[:100]!r} has no box of four numbers.", line)
        return None
    numbers = [exact(_number_text(value)) for value in values]
    if None in numbers:
        wrong = str(values[numbers.index(None)])[:40]
        report.add("box-not-a-number", f"{wrong!r} is not a valid coordinate.", line)
        return None
    x1, y1, third, fourth = (number for number in numbers if number is not None)
    is_corners = isinstance(box, dict)
    x2, y2 = (third, fourth) if is_corners else (x1 + third, y1 + fourth)
    return RawBox(label, x1, y1, x2, y2, False, line)


def _number_text(value: Any) -> str:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return str(value) if is_number else ""


def _size(record: Record) -> tuple[int, int] | None:
    details = record.get("image_details")
    stated = details if isinstance(details, dict) else record
    width, height = (thousandths(_number_text(stated.get(name))) for name in ("width", "height"))
    return (width // 1000, height // 1000) if width and height and min(width, height) >= 1000 else None


def _split(record: Record) -> str | None:
    value = record.get("split")
    return split_of_value(value) if isinstance(value, str) else None


def _note_document(document: _Document, unit: str) -> None:
    report = document.report
    numeric_names_finding((box.label for entry in document.listed for box in entry.boxes), report)
    report.findings.append(Finding.of("table-columns", report.file.name, f"Boxes are read in {unit}.", line=1))
    if document.crowds:
        detail = f"{counted(len(document.crowds), 'box', 'boxes')} around groups of objects left out."
        report.findings.append(Finding.of("crowds-left-out", report.file.name, detail, line=document.crowds[0]))
