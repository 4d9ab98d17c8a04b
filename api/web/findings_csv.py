"""Findings as CSV, page by page, for spreadsheets."""

import csv
import io
from collections.abc import Iterator

from core.db import Database
from core.domain.spreadsheet import as_text_cell
from core.services.jobs.commands import list_findings

COLUMNS = ("code", "severity", "path", "line", "detail", "remedy")
_PAGE_ROWS = 1000


def findings_csv(db: Database, job_id: str, *, code: str | None, severity: str | None) -> Iterator[bytes]:
    """Yields RFC 4180 in UTF-8, the header first. The first chunk raises JobNotFound or Gone."""
    cursor: str | None = None
    header = [COLUMNS]
    while True:
        page = list_findings(db, job_id, cursor=cursor, limit=_PAGE_ROWS, code=code, severity=severity)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerows(header)
        writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in page.items)
        yield out.getvalue().encode()
        header, cursor = [], page.next_cursor
        if cursor is None:
            return


def _cell(value: str | int | None) -> str:
    return "" if value is None else as_text_cell(str(value))
