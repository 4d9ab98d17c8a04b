"""A curve of dots in a few lines of text: each Braille character is a cell of two by four dots."""

from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of the cell
_EMPTY = 0x2800
MAX_STEP = 8  # dots between two values: a curve grows to the right while a training goes on


def curve(values: Sequence[float], *, width: int, height: int) -> list[str]:
    """`height` lines of at most `width` characters, the largest value above; neighbours are joined by dots.

    More values than there are columns are thinned out: of those of a column the last one stays.
    """
    if not values:
        return [""] * height
    columns = _columns(values, 2 * width)
    low, high = min(columns), max(columns)
    rows = [_row(value, low, high, 4 * height) for value in columns]
    cells = [[_EMPTY] * ((len(rows) + 1) // 2) for _ in range(height)]
    for x, y in enumerate(rows):
        before = rows[x - 1] if x else y
        for dot in range(min(y, before + (y > before)), max(y, before - (y < before)) + 1):
            cells[dot // 4][x // 2] |= _DOTS[dot % 4][x % 2]
    return ["".join(map(chr, line)) for line in cells]


def _columns(values: Sequence[float], count: int) -> list[float]:
    if len(values) > count:
        return [values[(index + 1) * len(values) // count - 1] for index in range(count)]
    step = max(1, min(count // len(values), MAX_STEP))
    between = [index / step for index in range(step * (len(values) - 1) + 1)]
    return [_interpolated(values, at) for at in between]


def _interpolated(values: Sequence[float], at: float) -> float:
    before = int(at)
    after = min(before + 1, len(values) - 1)
    return values[before] + (values[after] - values[before]) * (at - before)


def _row(value: float, low: float, high: float, rows: int) -> int:
    """From above. A curve that does not move lies at the bottom."""
    share = (value - low) / (high - low) if high > low else 0.0
    return rows - 1 - round(share * (rows - 1))
