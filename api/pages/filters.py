"""Values as people read them. None is a dash."""

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from core import clock

NONE = "–"
UNSEEN = 0.0005  # a figure below it, or a change of one, is 0.000 in three digits
_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def bytes_text(count: float | None) -> str:
    """In powers of 1,000: `812 bytes`, `4.2 MB`."""
    if count is None:
        return NONE
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if unit == 0 or value >= 99.5 else f"{value:.1f} {_SIZES[unit]}"


def duration(seconds: float | None) -> str:
    """`320 ms`, `4.2 s`, `3 min 12 s`, `1 h 04 min`, `2 d 3 h`."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def ago(at: datetime | str | None) -> Markup:
    """How long ago `at` (with its zone, or UTC) was, as `<time>` that scripts keep current."""
    if at is None:
        return Markup("–")
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    exact = moment.astimezone(UTC)
    text = _since((clock.now() - exact).total_seconds())
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%-d %B %Y, %H:%M:%S UTC"), text
    )


def _since(seconds: float) -> str:
    if seconds < 45:
        return "just now"
    for unit, size in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if seconds >= 0.75 * size or unit == "minute":
            count = max(1, round(seconds / size))
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    raise AssertionError("a minute is the smallest unit")


def tree_lines(tree: str) -> list[tuple[str, Markup]]:
    """Of each line of an example tree of files its path, with the indentation, and the note behind it, in which `code`
    is marked."""
    found = []
    for line in tree.splitlines():
        path, _, note = re.sub(r"(?<=\S) {2,}", "\0", line, count=1).partition("\0")
        parts = enumerate(note.split("`"))
        marked = (Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in parts)
        found.append((path, Markup("").join(marked)))
    return found


def number(value: float | None) -> str:
    """With commas: `12,345`; fractions keep two digits."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def percent(share: float | None, digits: int = 0) -> str:
    """Of a share of one: `0.943` is `94 %`."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def metric(value: float | None) -> str:
    """Three digits after the point, as tables align them."""
    return NONE if value is None else f"{value:.3f}"


def direction(change: float) -> str:
    """`up`, `down`, or `same` where three digits do not show it."""
    return "same" if abs(change) < UNSEEN else "up" if change > 0 else "down"


def short_hash(digest: str | None) -> str:
    """The first 12 digits."""
    return digest[:12] if digest else NONE
