"""Reads JSON Lines: one JSON object in each line, as a stream and within limits."""

import json
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

from pipeline.archive.encodings import encoding_of
from pipeline.archive.entry_names import suffix_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.formats.json_stream import MAX_ELEMENT_CHARS, JsonBroken, decimal_of

SUFFIXES = frozenset({".jsonl", ".ndjson"})
_HEAD_BYTES = 4096

Record = dict[str, Any]


def json_lines_of(source: ExtractedArchive) -> list[SourceFile]:
    return [file for file in source.files if suffix_of(file.name) in SUFFIXES]


def read_records(file: SourceFile) -> Iterator[tuple[int, Record]]:
    """(line, object), numbers with a point as Decimal. Raises JsonBroken; the objects before it are complete."""
    encoding = encoding_of(file.byte_range.read(_HEAD_BYTES))
    with TextIOWrapper(file.byte_range.open(), encoding=encoding) as text:
        line = 0
        try:
            while content := text.readline(MAX_ELEMENT_CHARS + 1):
                line += 1
                if len(content) > MAX_ELEMENT_CHARS:
                    raise JsonBroken(f"The line has more than {MAX_ELEMENT_CHARS} characters.", line)
                if content.strip():
                    yield line, _record(content, line)
        except UnicodeDecodeError as error:
            raise JsonBroken("The text is not UTF-8.", line + 1) from error


def _record(content: str, line: int) -> Record:
    try:
        value = json.loads(content, parse_float=decimal_of)
    except json.JSONDecodeError as error:
        raise JsonBroken(f"{error.msg}.", line) from error
    except RecursionError as error:
        raise JsonBroken("The JSON is nested too deeply.", line) from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise JsonBroken(f"{error}.", line) from error
    if not isinstance(value, dict):
        raise JsonBroken("The line is not a JSON object.", line)
    return value
