"""Tables of boxes: one row for each box, with the image, the class and the corners or the sides in columns."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.coordinates import settle_units
from pipeline.formats.csv_rows import ONE_CLASS, BoxTable, read_rows, settle_shapes
from pipeline.formats.headless_tables import headless_box_columns, without_header
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.listed import (
    Report,
    dataset_of,
    match_listed,
    numeric_names_finding,
)
from pipeline.formats.table_cells import boxes_of_cell
from pipeline.formats.table_columns import CELL, box_columns
from pipeline.formats.tables import Table, TableBroken, is_empty, tables_of
from pipeline.formats.text import WrittenNames

NAME = "csv"
_TRIED_ROWS = 200  # whose images are looked for, before a table is read
_MACHINE_ID = re.compile(r"/m/\w+")  # a class of Open Images


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
        read_rows(each, written, names)
    shape = settle_shapes(found)
    listed = [entry for each in found for entry in each.entries.values()]
    unit, unit_findings = settle_units(listed)
    findings = [*written.findings(), *unit_findings]
    for each in found:
        _note_table(each, unit, shape)
        numeric_names_finding((box.label for entry in each.entries.values() for box in entry.boxes), each.report)
        findings += each.report.findings
    matched = match_listed(listed, source)
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


def _box_tables(source: ExtractedArchive, tables: list[Table]) -> tuple[list[BoxTable], str]:
    """(tables of boxes that name images of the source, what the first other one is missing)."""
    names = {
        name for image in images_of_set(source) for base in [base_of(image.name)] for name in (base, bare_of(base))
    }
    found: list[BoxTable] = []
    missing = ""
    for table in tables:
        headless = without_header(table)
        table = headless or table
        columns = headless_box_columns(table) if headless else box_columns(table.keys)
        if isinstance(columns, str):
            missing = missing or f"{columns} in {base_of(table.file.name)}"
        elif columns.shape == CELL and not _has_cells(table, columns.box[0]):
            missing = (
                missing or f"no boxes in the column {table.header[columns.box[0]]!r} of {base_of(table.file.name)}"
            )
        elif not _names_an_image(table, columns.image, names):
            missing = missing or f"{base_of(table.file.name)} names no image of the archive"
        else:
            found.append(BoxTable(table, columns, Report(table.file)))
    return found, missing


def _has_cells(table: Table, column: int) -> bool:
    """Whether the first cell of the column that is not empty holds boxes."""
    try:
        filled = (cells[column] for _, cells in table.rows() if len(cells) > column and not is_empty(cells[column]))
        return boxes_of_cell(next(filled, "")) is not None
    except TableBroken:
        return False


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


def _note_table(each: BoxTable, unit: str, shape: str | None) -> None:
    """What was read as what: the evidence for columns and units."""
    if each.undecided and shape is None:
        return  # an error says so
    header, columns = each.table.header, each.columns
    box = ", ".join(header[column][:40] for column in columns.box)
    shapes = {"corners": "left, top, right, bottom", "sides": "left, top, width, height"}
    read_as = shapes.get(
        shape or "sides" if columns.shape == CELL else columns.shape, "centre x, centre y, width, height"
    )
    detail = "" if not each.table.headless else "The table has no header; the values of all rows decide. "
    detail += f"Images are in {header[columns.image][:40]!r}, "
    if columns.label is None:
        detail += f"{box} holds boxes as {read_as} in {unit}."
    else:
        link = "holds boxes as" if columns.shape == CELL else "are"
        detail += f"classes in {header[columns.label][:40]!r}; {box} {link} {read_as} in {unit}."
    unused = [header[column][:40] for column in range(len(header)) if column not in columns.used]
    if unused:
        detail += f" Not read: {', '.join(unused[:10])}."
    each.report.findings.append(Finding.of("table-columns", each.table.file.name, detail, line=1))
    if any(box.label == ONE_CLASS for entry in each.entries.values() for box in entry.boxes) and columns.label is None:
        detail = f"The table has no column of classes: all boxes are of one class, {ONE_CLASS!r}."
        each.report.findings.append(Finding.of("class-names-missing", each.table.file.name, detail, line=1))
    if each.crowds:
        detail = f"{counted(len(each.crowds), 'box', 'boxes')} around groups of objects left out."
        each.report.findings.append(Finding.of("crowds-left-out", each.table.file.name, detail, line=each.crowds[0]))


def _names_of_machine_ids(source: ExtractedArchive) -> dict[str, str]:
    """`/m/01g317` -> `Person`: the class descriptions of Open Images, a table of two columns."""
    names: dict[str, str] = {}
    twice: Counter[str] = Counter()
    for table in tables_of(source):
        if len(table.header) != 2:
            continue
        try:
            found = {cells[0]: cells[1] for _, cells in table.rows() if len(cells) == 2}
        except TableBroken:
            continue
        found |= {table.header[0]: table.header[1]}
        for number, name in found.items():
            if not _MACHINE_ID.fullmatch(number):
                continue
            twice[number] += names.setdefault(number, name) != name
    return {number: name for number, name in names.items() if not twice[number]}
