"""Streams a large JSON object member by member: of a top-level array, one element is in memory at a time.

Python's JSON decoder decodes each element, on a window of text that grows until the element fits.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from io import BufferedReader, TextIOWrapper
from typing import Any, BinaryIO, NamedTuple

from pipeline.archive.encodings import UnknownEncoding, decode, encoding_of

MAX_ELEMENT_CHARS = 16 * 1024**2  # the largest mask of a 200-megapixel image is a tenth of it
_CHUNK = 1 << 18
_HEAD = 4096  # bytes that decide the encoding
_SPACE = re.compile(r"[ \t\n\r]*")


class Element(NamedTuple):
    """`key`: member of the top-level object; `number`: 0-based index in its array, None for a value outside arrays."""

    key: str
    number: int | None
    line: int
    value: Any


class JsonBroken(Exception):
    """The text is not a JSON object, or one of its elements is too large or too deep."""

    def __init__(self, detail: str, line: int) -> None:
        self.detail, self.line = detail, line
        super().__init__(detail)


def read_members(file: BinaryIO) -> Iterator[Element]:
    """Yields every member of the top-level object in the order of the text; numbers with a point as Decimal.

    A number whose exponent is beyond those of Decimal is infinite. Raises JsonBroken; the elements before it are
    complete.
    """
    with _text_of(file) as text:
        yield from _Window(text).members()


def read_elements(file: BinaryIO) -> Iterator[Element]:
    """Yields every element of a top-level array, with an empty key, as `read_members` does for an object."""
    with _text_of(file) as text:
        yield from _Window(text).elements()


def _text_of(file: BinaryIO) -> TextIOWrapper:
    encoding = encoding_of(file.peek(_HEAD)[:_HEAD]) if isinstance(file, BufferedReader) else "utf-8"
    return TextIOWrapper(file, encoding="utf-8-sig" if encoding == "utf-8" else encoding)


class _Window:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._decoder = json.JSONDecoder(parse_float=decimal_of)

    def members(self) -> Iterator[Element]:
        self._expect("{")
        if self._peek() == "}":
            return
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise self._broken("A key is missing")
            self._expect(":")
            if self._peek() == "[":
                yield from self.elements(key)
            else:
                self._space()
                line = self._line
                yield Element(key, None, line, self._value())
            if self._either(",", "}") == "}":
                return

    def elements(self, key: str = "") -> Iterator[Element]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        index = 0
        while True:
            self._space()
            line = self._line
            yield Element(key, index, line, self._value())
            index += 1
            if self._either(",", "]") == "]":
                return

    def _value(self) -> Any:
        self._space()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    self._line += self._text.count("\n", self._at, error.pos)
                    raise self._broken(error.msg) from error
            except RecursionError as error:
                raise self._broken("The JSON is nested too deeply") from error
            except ValueError as error:  # an integer of more digits than Python converts
                raise self._broken(str(error)) from error
            else:
                # A number at the end of the window may continue after it: `1` of `1e+5`.
                if isinstance(value, dict | list | str) or end + 3 <= len(self._text) or not self._more():
                    self._advance(end)
                    return value

    def _space(self) -> None:
        while True:
            match = _SPACE.match(self._text, self._at)
            self._advance(match.end() if match else self._at)
            if self._at < len(self._text) or not self._more():
                return

    def _peek(self) -> str:
        self._space()
        return self._text[self._at : self._at + 1]

    def _expect(self, char: str) -> None:
        self._either(char, char)

    def _either(self, first: str, second: str) -> str:
        found = self._peek()
        if found not in (first, second) or not found:
            wanted = f"{first!r}" if first == second else f"{first!r} or {second!r}"
            raise self._broken(f"{wanted} is expected here")
        self._advance(self._at + 1)
        return found

    def _advance(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Drops the decoded text and doubles the rest. Returns False at the end of the file."""
        if self._ended:
            return False
        left = len(self._text) - self._at
        if left > MAX_ELEMENT_CHARS:
            raise self._broken(f"One element has more than {MAX_ELEMENT_CHARS} characters, or the text is not JSON")
        try:
            chunk = self._file.read(max(_CHUNK, left))
        except UnicodeDecodeError as error:
            raise self._broken(self._encoding_fault(error)) from error
        if not chunk:
            self._ended = True
            return False
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return True

    @staticmethod
    def _encoding_fault(error: UnicodeDecodeError) -> str:
        """`error.object` is the part of the file that was being decoded."""
        try:
            decode(error.object)
        except UnknownEncoding as unknown:
            return str(unknown).removesuffix(".")
        return "The text is not UTF-8"

    def _broken(self, detail: str) -> JsonBroken:
        return JsonBroken(f"{detail}.", self._line)


def decimal_of(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")
