"""Tables of classes: one row or JSON line for each image, with its class, as `metadata.csv` of the hub has it."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, suffix_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.box_like_columns import box_like_columns
from pipeline.formats.headless_tables import headless_class_columns, without_header
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.json_lines import SUFFIXES as JSON_LINES
from pipeline.formats.json_lines import Record, json_lines_of, read_records
from pipeline.formats.json_stream import JsonBroken
from pipeline.formats.jsonl_boxes import image_name_of
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed, numeric_names_finding, split_of_value
from pipeline.formats.table_cells import boxes_of_cell
from pipeline.formats.table_columns import cell_column, class_columns, part_of_cell
from pipeline.formats.tables import Table, TableBroken, is_empty, key_of, open_table, tables_of
from pipeline.formats.text import WrittenNames, class_name_fault

NAME = "table"
_TRIED_ROWS = 200  # whose images are looked for, before a table is read
_CLASS_KEYS = ("label", "class", "category", "class_name", "label_name", "labels")
_DECIMAL = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?")
_WITH_BOXES = re.compile(r"(\S+(\s+\d+(\.\d+)?){4}\s*)+")  # `n01440764 240 170 260 240`, of ImageNet
_SUBMISSION = "submission"  # of a contest: its classes are placeholders


class _Row(NamedTuple):
    """`cells`: number of cells that are missing or too many."""

    line: int
    image: str
    label: str
    split: str
    cells: int = 0


@dataclass(slots=True)
class _ClassTable:
    report: Report
    read_as: str
    listed: list[ListedImage] = field(default_factory=list)
    lost: int = 0
    is_whole: bool = True


def matches(source: ExtractedArchive) -> str | None:
    files = [*(table.file for table in tables_of(source)), *json_lines_of(source)]
    if not files:
        return "no CSV or JSON Lines files in the archive."
    names = _names(source)
    missing = [_missing(file, names) for file in files]
    if None in missing:
        return None
    return f"{counted(len(files), 'table')}: {missing[0]} in {base_of(files[0].name)}."


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`: the label of an item is the class in its row, None for an image without a row."""
    written = WrittenNames()
    names = _names(source)
    files = [*(table.file for table in tables_of(source)), *json_lines_of(source)]
    tables = [_read_table(file, written) for file in files if _missing(file, names) is None]
    findings = list(written.findings())
    for table in tables:
        report = table.report
        report.findings.append(Finding.of("table-columns", report.file.name, table.read_as, line=1))
        numeric_names_finding((entry.label for entry in table.listed if entry.label), report)
        findings += report.findings
    matched = match_listed([entry for table in tables for entry in table.listed], source)
    matched.lost += sum(table.lost for table in tables)
    is_whole = all(table.is_whole for table in tables)
    return dataset_of(source, NAME, "classification", matched, findings, is_whole=is_whole)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    root = root_of(kept)
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file_name", "label", "split"))
    rows.writerows((item.image.name[len(root) :], item.label, item.split or "") for item, *_ in kept if item.label)
    yield f"{root}metadata.csv", text.getvalue().encode()


def _names(source: ExtractedArchive) -> set[str]:
    images = (base_of(image.name) for image in images_of_set(source))
    return {name for base in images for name in (base, bare_of(base))}


def _missing(file: SourceFile, names: set[str]) -> str | None:
    """None for a table of classes that names images; else what it is missing."""
    if _SUBMISSION in base_of(file.name).lower():
        return "a submission instead of labels"
    rows = _rows(file)
    if isinstance(rows, str):
        return rows
    try:
        tried = list(islice(rows[1], _TRIED_ROWS))
    except (TableBroken, JsonBroken):
        return None  # its columns are those of classes: reading it reports what is broken
    if not any(base_of(row.image.replace("\\", "/")) in names for row in tried):
        return "no name of an image of the archive"
    labels = [row.label for row in tried if row.label]
    if not labels:
        return "no column with classes"
    if all(map(_WITH_BOXES.fullmatch, labels)):
        return "classes with boxes in one cell"
    return "numbers instead of classes" if all(map(_DECIMAL.fullmatch, labels)) else None


def _rows(file: SourceFile) -> tuple[str, Iterator[_Row]] | str:
    """(what is read as what, the rows), or what the file is missing."""
    if suffix_of(file.name) in JSON_LINES:
        return "Images are in `file_name` or `image_url`, classes in `label`.", _rows_of_records(file)
    table = open_table(file)
    if table is None:
        return "no header row"
    headless = without_header(table)
    table = headless or table
    columns = headless_class_columns(table) if headless else class_columns(table.keys)
    if isinstance(columns, str):
        return columns
    if (cell := cell_column(table.keys)) is not None and _has_boxes(table, cell):
        return "it has a column of boxes"
    image, label, split = columns
    unused = [name[:40] for at, name in enumerate(table.header) if at not in columns]
    read_as = "The table has no header; the values of all rows decide. " if headless else ""
    read_as += f"Images are in {table.header[image][:40]!r}, classes in {table.header[label][:40]!r}."
    read_as += f" Not read: {', '.join(unused[:10])}." if unused else ""
    width = len(table.header)

    def rows() -> Iterator[_Row]:
        for line, cells in table.rows():
            short = cells + [""] * (width - len(cells))
            stated = part_of_cell(key_of(table.header[split]), short[split]) if split is not None else ""
            yield _Row(line, short[image], "" if is_empty(short[label]) else short[label], stated, len(cells) - width)

    return read_as, rows()


def _has_boxes(table: Table, column: int) -> bool:
    """Whether a cell of the first rows holds boxes."""
    try:
        rows = islice(table.rows(), _TRIED_ROWS)
        return any(boxes_of_cell(cells[column]) is not None for _, cells in rows if len(cells) > column)
    except TableBroken:
        return False


def _rows_of_records(file: SourceFile) -> Iterator[_Row]:
    for line, record in read_records(file):
        split = record.get("split")
        yield _Row(line, image_name_of(record), _label_of(record), split if isinstance(split, str) else "")


def _label_of(record: Record) -> str:
    """Empty where the record has no class, or more than one."""
    value = next((record[key] for key in _CLASS_KEYS if key in record), None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _read_table(file: SourceFile, written: WrittenNames) -> _ClassTable:
    rows = _rows(file)
    read_as, found = (rows, iter(())) if isinstance(rows, str) else rows
    table = _ClassTable(Report(file), read_as)
    try:
        for row in found:
            _read_row(table, row, written)
    except TableBroken as broken:
        table.is_whole = False
        table.report.add(broken.code, broken.detail, broken.line)
    except JsonBroken as broken:
        table.is_whole = False
        table.report.add("json-invalid", f"The JSON Lines cannot be read: {broken.detail}", broken.line)
    if like := _like_boxes(file):
        _refuse_boxes(table, like)
    return table


def _like_boxes(file: SourceFile) -> list[str]:
    table = None if suffix_of(file.name) in JSON_LINES else open_table(file)
    if table is None or without_header(table):
        return []
    columns = class_columns(table.keys)
    return [] if isinstance(columns, str) else box_like_columns(table, columns)


def _refuse_boxes(table: _ClassTable, like: list[str]) -> None:
    names = ", ".join(repr(name[:40]) for name in like[:10])
    detail = (
        f"{len(like)} columns are numbers and may be boxes: {names}. If they are, call the corners "
        "xmin, ymin, xmax, ymax (or x, y, width, height); if not, remove them from the table."
    )
    table.report.add("box-columns-unclear", detail, 1)
    for entry in table.listed:
        entry.usable = False


def _read_row(table: _ClassTable, row: _Row, written: WrittenNames) -> None:
    report = table.report
    if not row.image:
        table.lost += 1
        report.add("table-row-invalid", "The row names no image.", row.line)
        return
    # Without boxes there is no frame that a declared size could decide.
    entry = ListedImage(report.file, row.image, row.line, split=split_of_value(row.split), coordinates="fractions")
    table.listed.append(entry)
    label = written.clean(row.label, report.file.name, row.line)
    fault = class_name_fault(label) if label else ("class-name-empty", "The row has no class, or more than one.")
    if row.cells:
        fault = "table-row-invalid", "The row has more or fewer cells than the header."
    if fault:
        report.add(*fault, row.line)
        entry.usable = False
    entry.label = label or None
