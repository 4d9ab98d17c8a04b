"""Reads one YOLO label file: lines of `class x_centre y_centre width height`, as fractions of the upright image."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from core.domain.findings import Finding, FindingList
from core.domain.limits import MAX_FINDINGS_OF_IMAGE
from pipeline.archive.encodings import decode_head
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import FRACTION, RawBox
from pipeline.formats.box_limits import limited, require_boxes_of_image
from pipeline.formats.text import read_lines, why_unread
from pipeline.formats.yolo_columns import BOX, ColumnSurvey, Reading

MAX_CLASS_ID = 9999  # for datasets without class names; the largest public dataset has 9,000 classes
_SNIFF_BYTES = 4096
_KITTI = (15, 16)  # columns; the last one is the score of a prediction
_LARGEST = 2.0  # a larger value is in pixels


@dataclass(slots=True)
class YoloLabels:
    """The content of one label file. `usable`: no error makes the boxes of its image unreliable.

    `odd`: (reading, count, first line) of the lines that hold more than a box. `undecided`: some are yet to be read.
    """

    file: SourceFile
    boxes: list[RawBox] = field(default_factory=list)
    findings: FindingList = field(default_factory=FindingList)
    usable: bool = True
    odd: tuple[tuple[Reading, int, int], ...] = ()
    undecided: bool = False
    image_name: str = ""
    folder: str = ""


class _InvalidLine(Exception):
    """A line from which no box can be read: (code, detail)."""


def is_label_file(file: SourceFile) -> bool:
    """Whether the first line that is not blank is a class and at least four numbers, and not a line of KITTI."""
    first = _first_line(file)
    is_matrix = bool(first) and first[0].endswith(":")  # of a camera: `P0: 1 0 0 ...`
    is_box = len(first) >= BOX and not is_matrix and all(_number(column) is not None for column in first[1:BOX])
    return is_box and not _is_of_kitti(first)


def is_kitti_file(file: SourceFile) -> bool:
    """Whether the first line is `Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 ...` (type, truncated, occluded, ...)."""
    return _is_of_kitti(_first_line(file))


def _first_line(file: SourceFile) -> list[str]:
    text = decode_head(file.byte_range.read(_SNIFF_BYTES))
    return next((line.split() for line in text.split("\n") if line.strip()), [])


def _is_of_kitti(columns: list[str]) -> bool:
    numbers = [_number(column) is not None for column in columns]
    return len(columns) in _KITTI and not numbers[0] and all(numbers[1:])


def read_labels(
    files: Iterable[SourceFile], names_of: Callable[[SourceFile], Mapping[int, str]], *, keypoint_columns: int = 0
) -> tuple[list[YoloLabels], list[Finding]]:
    """All label files, their columns decided together; findings about the set.

    `names_of`: class number -> name for a file, empty if class numbers serve as names. `keypoint_columns`: number of
    columns after each box, as data.yaml states it.
    """
    survey = ColumnSurvey()
    known = {BOX + keypoint_columns: Reading.KEYPOINTS} if keypoint_columns else {}
    kept = Counter[str]()
    read = list(limited(_parse(file, names_of(file), known, kept, survey) for file in files))
    decided = survey.readings(boxes=any(labels.boxes for labels in read))
    again = [each.undecided or BOX in decided for each in read]
    kept_again = Counter[str]()
    read = list(
        limited(
            _parse(each.file, names_of(each.file), decided | known, kept_again) if anew else each
            for each, anew in zip(read, again, strict=True)
        )
    )
    if BOX not in decided and survey.why_unclear():
        for each in read:
            each.usable = each.usable and not each.boxes
    return read, [*survey.findings(decided), *_not_normalised(read), *_odd_findings(read)]


def _parse(
    file: SourceFile,
    names: Mapping[int, str],
    readings: Mapping[int, Reading],
    kept: Counter[str],
    survey: ColumnSurvey | None = None,
) -> YoloLabels:
    """Lines whose columns are in no reading go to `survey`; without one, they make the file unusable.

    `kept`: counts the findings that are kept of all files.
    """
    labels = YoloLabels(file, findings=FindingList(most=MAX_FINDINGS_OF_IMAGE, shared=kept))
    lines = read_lines(file)
    if lines is None:
        unread = why_unread(file)
        code = "label-file-too-large" if unread.code == "text-too-large" else unread.code
        _error(labels, unread.line, code, unread.detail)
        return labels
    odd_lines: dict[Reading, list[int]] = {reading: [] for reading in Reading}
    rows = 0
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns:
            continue
        rows += 1
        require_boxes_of_image(file, rows, number)
        reading = readings.get(len(columns))
        try:
            label, values = _read_line(columns, names)
            if len(values) < BOX or reading:
                labels.boxes.append(_box(label, values, reading, number))
        except _InvalidLine as error:
            _error(labels, number, *error.args)
            continue
        if reading:
            odd_lines[reading].append(number)
        elif len(values) < BOX and survey is not None:
            survey.add_box(file.name, number, values)
        elif len(values) >= BOX:
            labels.undecided = survey is not None
            labels.usable = labels.usable and survey is not None
            if survey is not None:
                survey.add(file.name, number, values)
    labels.odd = tuple((reading, len(found), found[0]) for reading, found in odd_lines.items() if found)
    return labels


def _read_line(columns: list[str], names: Mapping[int, str]) -> tuple[str, list[float]]:
    """(class name, numbers after it)."""
    label = _class_name(columns[0], names)
    numbers = [_number(column) for column in columns[1:]]
    if None in numbers:
        wrong = columns[1:][numbers.index(None)][:40]
        raise _InvalidLine("box-not-a-number", f"A column is not a number: {wrong!r}.")
    if len(columns) < BOX:
        raise _InvalidLine(
            "label-line-invalid",
            f"The line has {counted(len(columns), 'column')}; a box has 5, a polygon a class and at least three pairs.",
        )
    return label, [number for number in numbers if number is not None]


def _box(label: str, values: list[float], reading: Reading | None, line: int) -> RawBox:
    polygon = reading in (Reading.POLYGON, Reading.ORIENTED)
    largest = max(values if polygon else values[:4], key=abs)
    if abs(largest) > _LARGEST:
        raise _InvalidLine(
            "box-not-normalised",
            f"{largest:g} is not a fraction of the image; the line seems to be in pixels.",
        )
    if reading is Reading.CORNERS:
        x1, y1, x2, y2 = (2 * _units(value) for value in values)
        return RawBox(label, x1, y1, x2, y2, False, line)
    if not polygon:
        return _from_centre(label, values[:4], line)
    xs, ys = ([2 * _units(value) for value in values[at::2]] for at in (0, 1))
    return RawBox(label, min(xs), min(ys), max(xs), max(ys), False, line)


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
    Reading.CORNERS: (
        "corners-as-boxes",
        "most boxes would reach beyond their images as centre, width and height. They are read as left, top, right and "
        "bottom, which fits.",
    ),
    Reading.POLYGON: ("polygons-as-boxes", "each polygon is replaced by the box around it."),
    Reading.ORIENTED: (
        "boxes-oriented",
        "nine columns are the four corners of an oriented box; each is replaced by the upright box around it.",
    ),
    Reading.CONFIDENCE: (
        "confidence-left-out",
        "a sixth column is read as a confidence and left out. Are these the predictions of a model?",
    ),
    Reading.TRACK: (
        "track-id-left-out",
        "the columns beyond the box are a track id (whole numbers), perhaps with a confidence (0 .. 1), and left out.",
    ),
    Reading.KEYPOINTS: ("keypoints-left-out", "keypoints after a box are left out."),
}


def _not_normalised(read: list[YoloLabels]) -> Iterator[Finding]:
    """One error for the whole set where most files are in another unit; it replaces those of single lines."""
    code = "box-not-normalised"
    wrong = [labels for labels in read if any(each.code == code for each in labels.findings)]
    with_boxes = sum(bool(labels.boxes) for labels in read)
    if len(wrong) < 2 or len(wrong) <= with_boxes:
        return
    first = next(each for each in wrong[0].findings if each.code == code)
    lines = 0
    for labels in wrong:
        kept = [each for each in labels.findings if each.code != code]
        lines += sum(each.count for each in labels.findings if each.code == code)
        labels.findings = FindingList(kept)
    where = f"{counted(lines, 'line')} in {counted(len(wrong), 'label file')}"
    yield Finding.of(code, first.path, f"{first.detail} So are {where} in all.", line=first.line)


def _odd_findings(read: Iterable[YoloLabels]) -> Iterator[Finding]:
    """One of each kind for the whole set, at its first line: an exporter writes the same kind into every file."""
    found: dict[Reading, list[tuple[str, int, int]]] = {reading: [] for reading in _ODD}
    for labels in read:
        for reading, count, first in labels.odd:
            found[reading].append((labels.file.name, count, first))
    for reading, (code, detail) in _ODD.items():
        if of_kind := found[reading]:
            path, _, line = min(of_kind)
            lines = counted(sum(count for _, count, _ in of_kind), "line")
            files = counted(len(of_kind), "label file")
            yield Finding.of(code, path, f"{lines} in {files}: {detail}", line=line)


def _error(labels: YoloLabels, line: int | None, code: str, detail: str) -> None:
    labels.usable = False
    labels.findings.add(code, labels.file.name, detail, line)
