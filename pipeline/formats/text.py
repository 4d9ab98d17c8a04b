"""Reads the small text files and numbers of the formats, within limits and without trusting them."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from core.domain.findings import Finding
from pipeline.archive.encodings import UnknownEncoding, decode, encoding_of
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile

MAX_TEXT_BYTES = 8 * 1024 * 1024  # labels of one image: 100,000 boxes of 80 characters; lists of 100,000 images
MAX_COORDINATE = 1_000_000  # px; beyond the width of any accepted image
MAX_CLASS_NAME = 200  # characters; a longer one is a sentence in the wrong field
_MILLI = Decimal("0.001")
_SPACES = re.compile(r"[^\S\x1c-\x1f\x85]+")  # str.split() takes these control characters for white space
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of a character


def read_lines(file: SourceFile) -> list[str] | None:
    """The lines of a text file. None for one of more than MAX_TEXT_BYTES or of another encoding: see `why_unread`."""
    if file.bytes > MAX_TEXT_BYTES:
        return None
    try:
        text = decode(file.byte_range.read())
    except UnknownEncoding:
        return None
    # not splitlines(): form feeds and the like are not line ends in an editor
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def why_unread(file: SourceFile) -> Finding:
    """The error about a file of which `read_lines` returns None."""
    if file.bytes > MAX_TEXT_BYTES:
        return Finding.of(
            "text-too-large", file.name, f"The file has {file.bytes} bytes; the limit is {MAX_TEXT_BYTES}."
        )
    try:
        decode(content := file.byte_range.read())
    except UnknownEncoding as error:
        return Finding.of("text-encoding", file.name, str(error), line=first_bad_line(content))
    raise ValueError(f"{file.name} can be read.")


def first_bad_line(content: bytes) -> int | None:
    """1-based, of bytes that are not UTF-8; None in UTF-16, whose line ends are not single bytes."""
    if encoding_of(content) not in ("utf-8", "utf-8-sig"):
        return None
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return None


def thousandths(value: str | int | Decimal) -> int | None:
    """In 1/1000, rounded half to even. None for anything but a finite number of at most a million."""
    try:
        number = Decimal(value)
        # Compared, which is exact and quick for any exponent; abs() rounds, and overflows.
        if not number.is_finite() or not -MAX_COORDINATE <= number <= MAX_COORDINATE:
            return None
        return int(number.quantize(_MILLI, ROUND_HALF_EVEN).scaleb(3))
    except InvalidOperation:
        return None


def clean_label(text: str) -> str:
    """NFC, with runs of white space as one space: `<name>\\n dog\\n</name>` is `dog`."""
    words = text.split() if text.isprintable() else filter(None, _SPACES.split(text))
    return sys.intern(unicodedata.normalize("NFC", " ".join(words)))  # one string object for all boxes of a class


def class_name_fault(name: str) -> tuple[str, str] | None:
    """(code, detail) of the finding where `name`, which is clean and not empty, cannot be the name of a class."""
    if len(name) > MAX_CLASS_NAME:
        return "class-name-too-long", f"A class name has {len(name)} characters; the limit is {MAX_CLASS_NAME}."
    if found := _NO_TEXT.search(name):
        kind = "half of a surrogate pair" if found[0] >= "\ud800" else "a control character"
        return "class-name-invalid", f"The class name {name!r} holds {kind} (U+{ord(found[0]):04X})."
    return None


class WrittenNames:
    """Counts class names of a dataset that are written both with and without spaces around them."""

    def __init__(self) -> None:
        self._without: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, int | None]] = {}

    def clean(self, text: str, path: str, line: int | None) -> str:
        """`clean_label(text)`, counted. Line breaks around a name, as pretty-printers add them, are not counted."""
        label = clean_label(text)
        if not label or text == label or text == text.strip() or "\n" in text:
            self._without.add(label)
        else:
            self._counts[label] += 1
            self._first.setdefault(label, (path, line))
        return label

    def findings(self) -> Iterator[Finding]:
        """One note for the dataset where names are written both ways, at the first one with spaces."""
        both = [label for label in self._first if label in self._without]
        if both:
            count = sum(self._counts[label] for label in both)
            path, line = self._first[both[0]]
            have = counted(count, "class name has", "class names have")
            detail = f"{have} spaces at an end, here {both[0][:100]!r}: the class is the same as without them."
            yield Finding.of("class-name-spaces", path, detail, line=line)
