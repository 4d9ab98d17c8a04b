"""Findings as CSV, page by page, for spreadsheets: a cell that would be a formula there is made text."""

import csv
import io
from collections.abc import Iterator

from core.db import Database
from core.services.jobs.commands import list_findings

COLUMNS = ("code", "severity", "path", "line", "detail", "remedy")
_AT_ONCE = 1000
# Spreadsheets run what begins so; also behind spaces, and with the full-width signs of East Asian keyboards.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def findings_csv(db: Database, job_id: str, *, code: str | None, severity: str | None) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, the header first. The first chunk raises JobNotFound or Gone."""
    cursor: str | None = None
    header = [COLUMNS]
    while True:
        page = list_findings(db, job_id, cursor=cursor, limit=_AT_ONCE, code=code, severity=severity)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerows(header)
        writer.writerows([cell(getattr(row, name)) for name in COLUMNS] for row in page.items)
        yield out.getvalue().encode()
        header, cursor = [], page.next_cursor
        if cursor is None:
            return


def cell(value: str | int | None) -> str:
    """Text that a spreadsheet shows as it is: a quote in front where it would compute."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
