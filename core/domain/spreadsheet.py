"""Text for the cells of a CSV file or a workbook: names from an upload must not become formulas."""

import re

# Spreadsheets compute a cell that begins with one of these signs, also behind blanks and also as the full-width sign
# of an East Asian keyboard; a leading tab or line break is dropped on import and leaves a formula
# (OWASP, "CSV Injection").
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[ ]*[\t\r\n]")


def as_text_cell(text: str) -> str:
    """Returns `text`, with an apostrophe in front where a spreadsheet would compute it."""
    return f"'{text}" if _FORMULA.match(text) else text
