"""A report as an Excel workbook: a summary, and a sheet for each table that has a `sheet`.

Text that would be a formula in a spreadsheet is kept as text: names of classes and files come from an upload.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from core.domain.spreadsheet import as_text_cell
from pipeline.evaluation.html import shares, tint
from pipeline.evaluation.report import Cell, Report, Table

MAX_WIDTH = 60  # characters of a column; a longer cell is complete but cut on the screen
MAX_ROWS = 1_048_575  # of a sheet, below its header

_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # not allowed in XML 1.0
_HEAD = PatternFill("solid", fgColor="1F4E79")


def write_workbook(report: Report, path: Path) -> None:
    book = Workbook()
    _fix_times(book)
    _summary(book.active, report)
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Table) and part.sheet:
                _sheet(book.create_sheet(part.sheet), part)
    book.save(path)


def safe_cell(value: Cell) -> Cell:
    """Returns text that a spreadsheet does not compute, cut to a cell's length and without what XML cannot hold."""
    if not isinstance(value, str):
        return value
    text = _ILLEGAL.sub("\ufffd", value)[:32_000]  # of the 32,767 characters that a cell holds
    return as_text_cell(text)


def _summary(sheet: Any, report: Report) -> None:
    sheet.title = "Summary"
    sheet.append([safe_cell(report.title)])
    sheet["A1"].font = Font(bold=True, size=14)
    for rows in (report.headline, report.facts):
        sheet.append([])
        for name, value in rows:
            sheet.append([safe_cell(name), safe_cell(value)])
            sheet.cell(sheet.max_row, 2).alignment = Alignment(horizontal="left")
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Table) and not part.sheet and part.in_page and part.rows:
                sheet.append([])
                sheet.append([safe_cell(f"{section.title}: {part.title}" if part.title else section.title)])
                sheet.cell(sheet.max_row, 1).font = Font(bold=True)
                _rows(sheet, part)
    _widths(sheet, first=2)


def _sheet(sheet: Any, table: Table) -> None:
    _rows(sheet, table)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = None if table.shade else sheet.dimensions
    _widths(sheet, first=1)


def _rows(sheet: Any, table: Table) -> None:
    sheet.append([safe_cell(name) for name in table.header])
    for cell in sheet[sheet.max_row]:
        cell.font, cell.fill = Font(bold=True, color="FFFFFF"), _HEAD
    for row in table.rows[:MAX_ROWS]:
        sheet.append([safe_cell(value) for value in row])
        if table.shade:
            _shade(sheet, row)
        for column, value in enumerate(row, 1):
            if isinstance(value, float):
                sheet.cell(sheet.max_row, column).number_format = "0.000"


def _shade(sheet: Any, row: Sequence[Cell]) -> None:
    for column, share in enumerate(shares(row), 1):
        if share:
            sheet.cell(sheet.max_row, column).fill = PatternFill("solid", fgColor=tint(share).upper())


def _widths(sheet: Any, *, first: int) -> None:
    for column in sheet.iter_cols(min_row=first):
        longest = max(
            (len(f"{cell.value:.3f}" if isinstance(cell.value, float) else str(cell.value or ""))) for cell in column
        )
        sheet.column_dimensions[get_column_letter(column[0].column)].width = min(MAX_WIDTH, longest + 3)


def _fix_times(book: Workbook) -> None:
    """The same report is the same workbook, whenever it is written."""
    book.properties.created = book.properties.modified = datetime(2000, 1, 1, tzinfo=UTC)
    book.properties.creator = "Darkroom"
