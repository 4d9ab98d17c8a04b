"""Texts for a terminal. What comes from outside is printed so that it can neither colour, move nor hide anything."""

import re
import unicodedata
from datetime import datetime

_JOINERS = "\u200c\u200d"  # needed by several scripts, and harmless
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_STEPS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def safe(text: object) -> str:
    """On one line. Control characters, direction overrides and lone surrogates become their escapes: `\\x1b`."""
    return "".join(_escaped(each) for each in str(text))


def log_line(text: str) -> str:
    """A line of a program's output, without its colours and without what it has drawn over."""
    drawn = _ANSI.sub("", text.rstrip("\r\n")).rpartition("\r")[2]
    return safe(drawn.expandtabs(4))


def size(count: int | None) -> str:
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float | None) -> str:
    """With its two largest units: `1 h 5 min`."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    parts: list[tuple[int, str]] = []
    for length, unit in _STEPS:
        count, whole = divmod(whole, length)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def age(then: datetime | None) -> str:
    """`3 h ago`, with one unit."""
    if then is None:
        return "-"
    seconds = (datetime.now(then.tzinfo) - then).total_seconds()
    if seconds < 5:
        return "now"
    return f"{' '.join(duration(seconds).split()[:2])} ago"


def figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else safe(value)
    if isinstance(value, int) or value == 0:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def counted(count: int, noun: str, *, plural: str = "") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def _escaped(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _HARMFUL:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
