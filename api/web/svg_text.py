"""Text that fits: its width is estimated, because whoever draws the SVG chooses the font."""

import re
import unicodedata

# In units of the font size: those of DejaVu Sans, which is broader than the fonts of common browsers.
_NARROW, _DIGIT, _LOWER, _UPPER, _BROAD, _WIDE = 0.38, 0.64, 0.61, 0.72, 0.97, 1.05
_BOLD = 1.12
_NARROW_ONES, _BROAD_ONES = frozenset("fijlrtI.,:;|!'()[]{}/ -"), frozenset("mwMW@%<>=+&")
# What XML 1.0 cannot contain, lone surrogates included, and what turns the direction of the text around it.
_UNFIT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """`text` as XML may contain it, in one line."""
    return " ".join(_UNFIT.sub("\ufffd", text).split())


def fitted(text: str, *, width: float, size: float, bold: bool = False) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels at this font size."""
    if width_of(text, size, bold=bold) <= width:
        return text
    while text and width_of(f"{text}…", size, bold=bold) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Estimated pixels."""
    return size * sum(map(_width, text)) * (_BOLD if bold else 1.0)


def _width(character: str) -> float:
    if character in _NARROW_ONES:
        return _NARROW
    if character in _BROAD_ONES:
        return _BROAD
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    if unicodedata.combining(character):
        return 0.0
    if character.isdigit():
        return _DIGIT
    return _UPPER if character.isupper() else _LOWER
