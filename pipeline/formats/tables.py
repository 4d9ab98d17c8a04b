"""Reads tables of text (CSV, TSV) with one header row, as a stream and within limits."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO, TextIOWrapper

from pipeline.archive.encodings import UnknownEncoding, decode, decode_head, encoding_of
from pipeline.archive.entry_names import suffix_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.formats.text import first_bad_line

SUFFIXES = frozenset({".csv", ".tsv"})
MAX_TABLE_BYTES = 512 * 1024**2  # 5 million boxes of 100 characters
_HEAD_BYTES = 65_536
_MAX_COLUMNS = 1000
_DELIMITERS = (",", ";", "\t", "|")
_EMPTY = frozenset({"", "nan", "null", "none", "n/a", "na", "<na>"})


class TableBroken(Exception):
    """The text is not a table, or not in a known encoding. `line` is 1-based; `code`: of the finding."""

    def __init__(self, detail: str, line: int | None, code: str = "table-invalid") -> None:
        self.detail, self.line, self.code = detail, line, code
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Table:
    """`header`: the cells of the first row; `keys`: the same in lower case without signs (`X_Min` is `xmin`).

    `headless`: the first row is one of the others.
    """

    file: SourceFile
    header: tuple[str, ...]
    delimiter: str
    encoding: str
    headless: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key_of(cell) for cell in self.header)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells without spaces around them) of each row that is not empty and not the header.

        A row may have another number of cells than the header. Raises TableBroken; the rows before it are complete.
        """
        with TextIOWrapper(self.file.byte_range.open(), encoding=self.encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            line = 1
            try:
                if not self.headless:
                    next(reader, None)
                for cells in reader:
                    line = reader.line_num
                    row = [cell.strip() for cell in cells]
                    if any(row):
                        width = len(self.header)
                        yield line, row if any(row[width:]) else row[:width]
            except csv.Error as error:
                raise TableBroken(f"The table cannot be read: {error}.", reader.line_num) from error
            except UnicodeDecodeError as error:
                raise self._wrong_encoding() from error

    def _wrong_encoding(self) -> TableBroken:
        """At the line of the first byte that cannot be read."""
        for before, block in self._blocks():
            try:
                decode(block)
            except UnknownEncoding as unknown:
                line = before + (first_bad_line(block) or 1)
                return TableBroken(f"{unknown} Save it as UTF-8.", line, "text-encoding")
        return TableBroken(f"The file is not {self.encoding.upper()}. Save it as UTF-8.", None, "text-encoding")

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """(number of lines before, whole lines); of UTF-16, the first block alone."""
        lines, rest = 0, b""
        for block in self.file.byte_range.blocks():
            whole, end, rest = (rest + block).rpartition(b"\n")
            yield lines, whole + end
            lines += whole.count(b"\n") + len(end)
            if self.encoding.startswith("utf-16"):
                return
        yield lines, rest


def tables_of(source: ExtractedArchive) -> list[Table]:
    """Those of the source whose first row can be a header."""
    files = [file for file in source.files if suffix_of(file.name) in SUFFIXES]
    return [table for file in files if (table := open_table(file))]


def open_table(file: SourceFile) -> Table | None:
    """None for a text without two columns, or with more bytes than MAX_TABLE_BYTES."""
    if file.bytes > MAX_TABLE_BYTES:
        return None
    head = file.byte_range.read(_HEAD_BYTES)
    lines = decode_head(head).splitlines()[:1]
    if not lines:
        return None
    header, delimiter = max(((_cells(lines[0], each), each) for each in _DELIMITERS), key=lambda found: len(found[0]))
    if not 2 <= len(header) <= _MAX_COLUMNS:
        return None
    return Table(file, tuple(header), delimiter, encoding_of(head))


def key_of(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.lower())


def is_empty(cell: str) -> bool:
    """Whether a cell states that there is no value."""
    return cell.lower() in _EMPTY


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader(StringIO(line), delimiter=delimiter), [])]
    except csv.Error:
        return []
