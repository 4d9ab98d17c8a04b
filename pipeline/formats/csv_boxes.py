"""Tables of boxes: one row for each box, with the image, the class and the corners or the sides in columns."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RawBox, RepairedItem, root_of
from pipeline.formats.coordinates import exact, settle_units
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.listed import (
    ListedImage,
    Report,
    dataset_of,
    match_listed,
    numeric_names_finding,
    split_of_value,
)
from pipeline.formats.table_columns import BoxColumns, box_columns
from pipeline.formats.tables import Table, TableBroken, is_empty, tables_of
from pipeline.formats.text import WrittenNames, class_name_fault, thousandths

NAME = "csv"
_TRIED_ROWS = 200  # whose images are looked for, before a table is read
_NO_OBJECT = frozenset({"background", "no finding", "no object", "negative"})
_MACHINE_ID = re.compile(r"/m/\w+")  # a class of Open Images
_TRUE = frozenset({"1", "true", "yes"})


@dataclass(slots=True)
class _BoxTable:
    table: Table
    columns: BoxColumns
    report: Report
    entries: dict[str, ListedImage] = field(default_factory=dict)
    crowds: list[int] = field(default_factory=list)
    lost_rows: int = 0
    is_whole: bool = True


def matches(source: ExtractedArchive) -> str | None:
    tables = tables_of(source)
    if not tables:
        return "no CSV files in the archive."
    found, missing = _box_tables(source, tables)
    return None if found else f"{counted(len(tables), 'CSV file')}: {missing}."


def read(source: ExtractedArchive) -> Dataset:
    tables = tables_of(source)
    found, _ = _box_tables(source, tables)
    names = _names_of_machine_ids(source)
    written = WrittenNames()
    for each in found:
        _read_rows(each, written, names)
    listed = [entry for each in found for entry in each.entries.values()]
    unit, unit_findings = settle_units(listed)
    findings = [*written.findings(), *unit_findings]
    for each in found:
        _note_table(each, unit)
        numeric_names_finding((box.label for entry in each.entries.values() for box in entry.boxes), each.report)
        findings += each.report.findings
    matched = match_listed(listed, images_of_set(source))
    matched.lost += sum(each.lost_rows for each in found)
    return dataset_of(source, NAME, "detection", matched, findings, is_whole=all(each.is_whole for each in found))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """One table with the corners in pixels; a row without a class for an image without objects."""
    root = root_of(kept)
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "difficult", "split"))
    for item, *_ in kept:
        if not item.annotation:
            continue
        size = item.size or ("", "")
        name, split = item.image.name[len(root) :], item.split or ""
        for box in item.boxes:
            corners = (_pixels(edge) for edge in (box.x1, box.y1, box.x2, box.y2))
            rows.writerow((name, *size, box.label, *corners, int(box.difficult), split))
        if not item.boxes:
            rows.writerow((name, *size, "", "", "", "", "", "", split))
    yield f"{root}annotations.csv", text.getvalue().encode()


def _pixels(edge: int) -> str:
    return f"{edge // 1000}.{edge % 1000:03d}".rstrip("0").rstrip(".") if edge >= 0 else str(edge / 1000)


def _box_tables(source: ExtractedArchive, tables: list[Table]) -> tuple[list[_BoxTable], str]:
    """(tables of boxes that name images of the source, what the first other one is missing)."""
    names = {
        name for image in images_of_set(source) for base in [base_of(image.name)] for name in (base, bare_of(base))
    }
    found: list[_BoxTable] = []
    missing = ""
    for table in tables:
        columns = box_columns(table.keys)
        if isinstance(columns, str):
            missing = missing or f"{columns} in {base_of(table.file.name)}"
        elif not _names_an_image(table, columns.image, names):
            missing = missing or f"{base_of(table.file.name)} names no image of the archive"
        else:
            found.append(_BoxTable(table, columns, Report(table.file)))
    return found, missing


def _names_an_image(table: Table, column: int, names: set[str]) -> bool:
    try:
        for number, (_, cells) in enumerate(table.rows()):
            if len(cells) > column and base_of(cells[column].replace("\\", "/")) in names:
                return True
            if number == _TRIED_ROWS:
                return False
    except TableBroken:
        return True  # its columns are those of boxes: reading it reports what is broken
    return False


def _read_rows(each: _BoxTable, written: WrittenNames, names: dict[str, str]) -> None:
    try:
        for line, cells in each.table.rows():
            _read_row(each, line, cells, written, names)
    except TableBroken as broken:
        each.report.add(broken.code, broken.detail, broken.line)
        each.is_whole = False


def _read_row(each: _BoxTable, line: int, cells: list[str], written: WrittenNames, names: dict[str, str]) -> None:
    columns, report = each.columns, each.report
    name = cells[columns.image] if len(cells) > columns.image else ""
    entry = each.entries.setdefault(name, ListedImage(report.file, name, line)) if name else None
    if entry is None or len(cells) != len(each.table.header):
        have = counted(len(cells), "cell")
        detail = f"The row has {have}, the header {len(each.table.header)}." if name else "The row names no image."
        report.add("table-row-invalid", detail, line)
        each.lost_rows += entry is None
        if entry:
            entry.usable = False
        return
    entry.size = entry.size or _size(cells, columns)
    if columns.split is not None:
        entry.split = entry.split or split_of_value(cells[columns.split])
    if columns.crowd is not None and cells[columns.crowd].lower() in _TRUE:
        each.crowds.append(line)
        return
    label = written.clean(cells[columns.label], report.file.name, line)
    texts = [cells[column] for column in columns.box]
    if all(map(is_empty, texts)) and (is_empty(label) or label.lower() in _NO_OBJECT):
        return  # the row of an image without objects
    box = _box(each, line, names.get(label, label), texts)
    if box is None:
        entry.usable = False
        return
    difficult = columns.difficult is not None and cells[columns.difficult].lower() in _TRUE
    entry.boxes.append(box._replace(difficult=difficult))


def _box(each: _BoxTable, line: int, label: str, texts: list[str]) -> RawBox | None:
    """In 1/UNIT; None for an error, which is reported."""
    report, columns = each.report, each.columns
    if all(map(is_empty, texts)):
        report.add("box-missing", f"The row of {label[:100]!r} has no box.", line)
        return None
    if is_empty(label):
        report.add("class-name-empty", "The row has a box and no class.", line)
        return None
    if fault := class_name_fault(label):
        report.add(*fault, line)
        return None
    if each.table.delimiter != ",":
        texts = [text.replace(",", ".") for text in texts]  # 0,5
    numbers = [exact(text) for text in texts]
    if None in numbers:
        wrong = numbers.index(None)
        name = each.table.header[columns.box[wrong]][:40]
        report.add("box-not-a-number", f"{name} is {texts[wrong][:40]!r}, which is not a valid coordinate.", line)
        return None
    return RawBox(label, *_corners([number for number in numbers if number is not None], columns), False, line)


def _corners(numbers: list[int], columns: BoxColumns) -> tuple[int, int, int, int]:
    first, second, third, fourth = numbers
    if columns.shape == "corners":
        return first, second, third, fourth
    if columns.shape == "sides":
        return first, second, first + third, second + fourth
    left, top = first - third // 2, second - fourth // 2
    return left, top, left + third, top + fourth


def _size(cells: list[str], columns: BoxColumns) -> tuple[int, int] | None:
    if columns.size is None:
        return None
    width, height = (thousandths(cells[column]) for column in columns.size)
    return (width // 1000, height // 1000) if width and height and min(width, height) >= 1000 else None


def _note_table(each: _BoxTable, unit: str) -> None:
    """What was read as what: the evidence for columns and units."""
    header, columns = each.table.header, each.columns
    box = ", ".join(header[column][:40] for column in columns.box)
    shapes = {"corners": "left, top, right, bottom", "sides": "left, top, width, height"}
    shape = shapes.get(columns.shape, "centre x, centre y, width, height")
    detail = f"Images are in {header[columns.image][:40]!r}, classes in {header[columns.label][:40]!r}; "
    detail += f"{box} are {shape} in {unit}."
    unused = [header[column][:40] for column in range(len(header)) if column not in columns.used]
    if unused:
        detail += f" Not read: {', '.join(unused[:10])}."
    each.report.findings.append(Finding.of("table-columns", each.table.file.name, detail, line=1))
    if each.crowds:
        detail = f"{counted(len(each.crowds), 'box', 'boxes')} around groups of objects left out."
        each.report.findings.append(Finding.of("crowds-left-out", each.table.file.name, detail, line=each.crowds[0]))


def _names_of_machine_ids(source: ExtractedArchive) -> dict[str, str]:
    """`/m/01g317` -> `Person`: the class descriptions of Open Images, a table of two columns without a header."""
    names: dict[str, str] = {}
    twice: Counter[str] = Counter()
    for table in tables_of(source):
        if len(table.header) != 2 or not _MACHINE_ID.fullmatch(table.header[0]):
            continue
        found = defaultdict(str, {table.header[0]: table.header[1]})
        try:
            found.update({cells[0]: cells[1] for _, cells in table.rows() if len(cells) == 2})
        except TableBroken:
            continue
        for number, name in found.items():
            twice[number] += names.setdefault(number, name) != name
    return {number: name for number, name in names.items() if not twice[number]}
