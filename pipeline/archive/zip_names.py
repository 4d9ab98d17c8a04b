"""Decodes the names in a ZIP: as UTF-8 where they are, else all in one guessed encoding."""

import re
import struct
import unicodedata
from collections.abc import Iterable
from zlib import crc32

from pipeline.archive.encodings import multibyte_encoding

UTF8_FLAG = 1 << 11
_FALLBACK = "cp437"
_SAMPLES = 2000  # different names that a guess is made from
_LETTER_5C = "\uff3c"  # the byte 0x5C where it belongs to a letter
_UNCLEAN = re.compile(r"\\|//|(?:^|/)\.(?:/|\Z)")  # what `clean_name` changes in a name of ASCII


def decode_name(raw: bytes, flags: int, unicode_path: bytes | None) -> str | None:
    """The name by what declares it, or as UTF-8; None for one whose encoding has to be guessed.

    `unicode_path`: the body of the extra field 0x7075. A name that is declared as UTF-8 and is not keeps a U+FFFD,
    which is refused later.
    """
    # Info-ZIP's Unicode path: version 1, the CRC of the raw name, the name. It counts only for that very name.
    body = unicode_path or b""
    if len(body) > 5 and body[0] == 1 and body[1:5] == struct.pack("<L", crc32(raw)):
        return clean_name(body[5:].decode("utf-8", "replace"))
    try:
        return clean_name(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return clean_name(raw.decode("utf-8", "replace")) if flags & UTF8_FLAG else None


class GuessedNames:
    """The one encoding of all names of an archive that declare none and are not all UTF-8."""

    def __init__(self, names: Iterable[bytes]) -> None:
        """`names`: all names of the archive that declare no encoding."""
        everything = list(names)
        self._slashes = any(b"/" in name for name in everything)
        wide = sorted({name for name in everything if not name.isascii() and not _is_surely_utf8(name)})
        found = multibyte_encoding(wide[:: max(1, len(wide) // _SAMPLES)])
        self.encoding = found if found and all(_decodes(name, found) for name in wide) else _FALLBACK

    def decode(self, raw: bytes) -> str | None:
        """None for a name that is surely UTF-8, beside others that are not."""
        if raw.isascii() or _is_surely_utf8(raw):
            return None
        if self.encoding == _FALLBACK and not _is_utf8(raw):
            return clean_name(self._single_byte(raw))
        return None if self.encoding == _FALLBACK else clean_name(raw.decode(self.encoding))

    def _single_byte(self, raw: bytes) -> str:
        """0x5C behind a byte above ASCII may be the second byte of a letter: it separates only where nothing else does.

        Two folders whose names differ before or behind that byte stay two.
        """
        text = raw.decode(_FALLBACK)
        if not self._slashes:
            return text
        return "".join(
            _LETTER_5C if char == "\\" and at and text[at - 1] >= "\x80" else char for at, char in enumerate(text)
        )


def clean_name(name: str) -> str:
    """NFC, `/` as the separator (Windows PowerShell 5 writes backslashes), without `./` and empty parts."""
    if name.isascii() and not _UNCLEAN.search(name):
        return name  # nearly all of 300,000
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = [part for part in name.split("/") if part != "."]
    kept = [part for index, part in enumerate(parts) if part or index in (0, len(parts) - 1)]
    return "/".join(kept)


def _is_utf8(raw: bytes) -> bool:
    return _decodes(raw, "utf-8")


def _is_surely_utf8(raw: bytes) -> bool:
    """Valid UTF-8 with a character of three bytes or more: one of two bytes may be a letter of GBK as well."""
    return any(byte >= 0xE0 for byte in raw) and _is_utf8(raw)


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
