"""The encoding of text and of names, by their bytes: UTF-8 and UTF-16 are read, others are only guessed.

A guess serves the words of an error, and the names in a ZIP, which have to be something.
"""

import codecs
import re
from collections.abc import Iterable

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_MULTIBYTE = {"gbk": "GBK", "cp932": "Shift-JIS (cp932)", "cp949": "EUC-KR (cp949)", "cp950": "Big5 (cp950)"}
_HEAD = 4096  # bytes that distinguish UTF-16 from UTF-8
_MIN_COMMON = 0.6  # of the wide characters are everyday ones; text of another encoding has a tenth of that
_MAX_SAMPLE = 200_000  # bytes that a guess is made from
_KOREAN_ENOUGH = 6  # characters that are all Korean syllables, before GBK is unlikely: half of its common ones are
_LETTER = re.compile(r"[A-Za-z]")


class UnknownEncoding(Exception):
    """Bytes that are neither UTF-8 nor UTF-16. The text is a sentence that says what they may be."""


def decode(content: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 or -32 with one, UTF-16 without one by its zero bytes.

    Replaces nothing. Raises UnknownEncoding.
    """
    encoding = encoding_of(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnknownEncoding(_reason(content, encoding)) from error


def decode_head(content: bytes) -> str:
    """The beginning of a text, for recognition alone: it may end within a character, or be none."""
    return content.decode(encoding_of(content), "replace")


def encoding_of(content: bytes) -> str:
    """The encoding to decode `content` with, by its first bytes; `utf-8` where they do not say another."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding
    head = content[:_HEAD]
    # A letter or a line break of ASCII has its zero byte second in UTF-16-LE, first in UTF-16-BE.
    first, second = head[0::2].count(0), head[1::2].count(0)
    zeros = first + second
    if not zeros or min(first, second) > zeros / 10 or (zeros < len(head) / 4 and _begins_as_utf8(head)):
        return "utf-8"
    return "utf-16-le" if second > first else "utf-16-be"


def _begins_as_utf8(head: bytes) -> bool:
    """Whether it is UTF-8 with a stray NUL, and no other control characters; its last character may be cut off."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(char < " " and char not in "\0\t\r\n" for char in text)


def _reason(content: bytes, encoding: str) -> str:
    if encoding not in ("utf-8", "utf-8-sig"):
        return f"The file begins as {encoding.upper().removesuffix('-SIG')} and is not valid in it."
    guess = likely_encoding([content[:_MAX_SAMPLE]])
    return f"The file is not UTF-8; it looks like {_MULTIBYTE.get(guess or '', guess) or 'a single-byte code page'}."


def likely_encoding(samples: Iterable[bytes]) -> str | None:
    """The encoding of East Asia in which all samples are plausible text, `cp1252` or `cp1251`; None for none."""
    wide = [sample for sample in samples if not sample.isascii()]
    shares = {encoding: _plausible(wide, encoding) for encoding in _MULTIBYTE}
    best = max(shares, key=shares.__getitem__)  # of equals the first: GBK
    if shares[best] >= _MIN_COMMON:
        return best
    return _single_byte(b"".join(wide))


def multibyte_encoding(names: Iterable[bytes]) -> str | None:
    """As `likely_encoding`, but only those in which a letter may hold the bytes of ASCII."""
    found = likely_encoding(names)
    return found if found in _MULTIBYTE else None


def _plausible(samples: list[bytes], encoding: str) -> float:
    """The share of everyday characters that do not stand between letters of ASCII, as an accented one would."""
    common = total = 0
    syllables = True
    for sample in samples:
        text = _decoded(sample, encoding)
        if text is None:
            return 0.0
        for at, char in enumerate(text):
            if char < "\x80":
                continue
            total += 1
            if _is_common(char, encoding) and not _is_inside_a_word(text, at):
                common += 1
            syllables = syllables and "\uac00" <= char <= "\ud7a3"
    if encoding == "cp949" and not (syllables and total >= _KOREAN_ENOUGH):
        common //= 2
    elif encoding == "cp949":
        common += 1  # text of GBK would have characters beyond the Korean syllables
    return common / total if total else 0.0


def _decoded(sample: bytes, encoding: str) -> str | None:
    """None where the sample is not valid in the encoding; a character that is cut off at the end may be."""
    for end in (len(sample), len(sample) - 1):
        try:
            return sample[:end].decode(encoding)
        except UnicodeDecodeError:
            if len(sample) < _MAX_SAMPLE:
                return None
    return None


def _is_inside_a_word(text: str, at: int) -> bool:
    """Whether letters of ASCII stand on both sides of one wide character."""
    around = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    return any(map(_LETTER.match, around))


def _is_common(char: str, encoding: str) -> bool:
    if encoding == "cp932" and "\u3040" <= char <= "\u30ff":
        return True
    lead = char.encode(encoding)
    if len(lead) < 2:
        return False
    first, second = lead[0], lead[1]
    match encoding:
        case "gbk":
            return 0xB0 <= first <= 0xD7 and second >= 0xA1
        case "cp932":
            return 0x88 <= first <= 0x97
        case "cp949":
            return 0xB0 <= first <= 0xC8 and second >= 0xA1
        case _:
            return 0xA4 <= first <= 0xC6


def _single_byte(content: bytes) -> str | None:
    high = bytes(byte for byte in content if byte >= 0x80)
    if high and sum(byte >= 0xC0 for byte in high) >= 0.8 * len(high):
        words = re.findall(rb"[\xc0-\xff]{3,}", content)
        return "cp1251" if sum(map(len, words)) > len(high) / 2 else "cp1252"
    return None
