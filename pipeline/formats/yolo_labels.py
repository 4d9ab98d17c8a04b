"""Reads one YOLO label file: lines of `class x_centre y_centre width height`, as fractions of the upright image."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from core.domain.findings import Finding
from pipeline.archive.encodings import decode_head
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import FRACTION, RawBox
from pipeline.formats.text import read_lines, why_unread

MAX_CLASS_ID = 9999  # for datasets without class names; the largest public dataset has 9,000 classes
_SNIFF_BYTES = 4096
_BOX = 5  # columns: the class and its box
_LARGEST = 2.0  # a larger value is in pixels


@dataclass(slots=True)
class YoloLabels:
    """The content of one label file. `usable`: no error makes the boxes of its image unreliable.

    `odd`: (kind, count, first line) of the lines that hold more than a box.
    """

    file: SourceFile
    boxes: list[RawBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    odd: tuple[tuple[str, int, int], ...] = ()
    image_name: str = ""
    folder: str = ""


class _InvalidLine(Exception):
    """A line from which no box can be read: (code, detail)."""


def is_label_file(file: SourceFile) -> bool:
    """Whether the first line that is not blank is a class and at least four numbers."""
    text = decode_head(file.byte_range.read(_SNIFF_BYTES))
    first = next((line.split() for line in text.split("\n") if line.strip()), [])
    return len(first) >= _BOX and all(_number(column) is not None for column in first[1:_BOX])


def parse_labels(file: SourceFile, names: Mapping[int, str], *, keypoint_columns: int = 0) -> YoloLabels:
    """`names`: empty if class numbers serve as names. `keypoint_columns`: number of columns after each box."""
    labels = YoloLabels(file)
    lines = read_lines(file)
    if lines is None:
        unread = why_unread(file)
        code = "label-file-too-large" if unread.code == "text-too-large" else unread.code
        _error(labels, unread.line, code, unread.detail)
        return labels
    odd_lines: dict[str, list[int]] = {"polygon": [], "confidence": [], "keypoints": []}
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns:
            continue
        try:
            box, kind = _read_line(columns, names, keypoint_columns, number)
        except _InvalidLine as error:
            _error(labels, number, *error.args)
            continue
        labels.boxes.append(box)
        if kind:
            odd_lines[kind].append(number)
    labels.odd = tuple((kind, len(found), found[0]) for kind, found in odd_lines.items() if found)
    return labels


def _read_line(
    columns: list[str], names: Mapping[int, str], keypoint_columns: int, line: int
) -> tuple[RawBox, str | None]:
    label = _class_name(columns[0], names)
    numbers = [_number(column) for column in columns[1:]]
    if None in numbers:
        wrong = columns[1:][numbers.index(None)][:40]
        raise _InvalidLine("box-not-a-number", f"A column is not a number: {wrong!r}.")
    values = [number for number in numbers if number is not None]
    count = len(columns)
    if max(map(abs, values), default=0.0) > _LARGEST and not (keypoint_columns and count > _BOX):
        raise _InvalidLine(
            "box-not-normalised",
            f"{max(values, key=abs):g} is not a fraction of the image; the line seems to be in pixels.",
        )
    if count == _BOX or (keypoint_columns and count == _BOX + keypoint_columns):
        return _from_centre(label, values[:4], line), "keypoints" if count > _BOX else None
    if count == _BOX + 1:
        return _from_centre(label, values[:4], line), "confidence"
    if count >= 7 and count % 2:  # a polygon has at least three corners
        xs, ys = ([2 * _units(value) for value in values[at::2]] for at in (0, 1))
        return RawBox(label, min(xs), min(ys), max(xs), max(ys), False, line), "polygon"
    raise _InvalidLine(
        "label-line-invalid",
        f"The line has {counted(count, 'column')}; a box has 5, a polygon a class and at least three pairs.",
    )


def _from_centre(label: str, values: list[float], line: int) -> RawBox:
    x, y, width, height = map(_units, values)
    return RawBox(label, 2 * x - width, 2 * y - height, 2 * x + width, 2 * y + height, False, line)


def _units(value: float) -> int:
    """In units of 2/FRACTION, so that a centre plus or minus half a side is a whole number of 1/FRACTION."""
    return round(value * (FRACTION // 2))


def _class_name(column: str, names: Mapping[int, str]) -> str:
    value = _number(column)
    if value is None and "," in column and _number(column.partition(",")[0]) is not None:
        detail = f"The numbers are separated by commas instead of spaces: {column[:40]!r}."
        raise _InvalidLine("label-line-invalid", detail)
    if value is None or value != int(value):
        raise _InvalidLine("class-id-unknown", f"The class is not a whole number: {column[:40]!r}.")
    number = int(value)
    if not names and 0 <= number <= MAX_CLASS_ID:
        return str(number)
    if number not in names:
        detail = f"Class {number} has no name; {counted(len(names), 'class is', 'classes are')} named, counted from 0."
        raise _InvalidLine("class-id-unknown", detail)
    return names[number]


def _number(text: str) -> float | None:
    if not text.isascii() or "_" in text:  # float() accepts 1_000 and the digits of all scripts
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_ODD = {
    "polygon": ("polygons-as-boxes", "each polygon is replaced by the box around it."),
    "confidence": (
        "confidence-left-out",
        "a sixth column is read as a confidence and left out. Are these the predictions of a model?",
    ),
    "keypoints": ("keypoints-left-out", "keypoints after a box are left out."),
}


def odd_findings(read: Iterable[YoloLabels]) -> Iterator[Finding]:
    """One of each kind for the whole set, at its first line: an exporter writes the same kind into every file."""
    found: dict[str, list[tuple[str, int, int]]] = {kind: [] for kind in _ODD}
    for labels in read:
        for kind, count, first in labels.odd:
            found[kind].append((labels.file.name, count, first))
    for kind, (code, detail) in _ODD.items():
        if of_kind := found[kind]:
            path, _, line = min(of_kind)
            lines = counted(sum(count for _, count, _ in of_kind), "line")
            files = counted(len(of_kind), "label file")
            yield Finding.of(code, path, f"{lines} in {files}: {detail}", line=line)


def _error(labels: YoloLabels, line: int | None, code: str, detail: str) -> None:
    labels.usable = False
    labels.findings.append(Finding.of(code, labels.file.name, detail, line=line))
