"""The ids of a COCO file: numbers or text, which exporters mix."""

from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

Id = int | str | Decimal
_DIGITS = 18  # of a number that is written as text or with a point; a longer one stays what it is


class MixedIds(NamedTuple):
    """`text_line`: the first line in which a number is written as text, where others are numbers."""

    text_line: int
    detail: str


class IdKinds:
    """Reads ids as one kind, and keeps where each kind was first met."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, type], int] = {}

    def read(self, of: str, value: Any, line: int) -> Id | None:
        """`"1"` and `1.0` are 1; other text is itself. None for what is no id. `of`: image, category or annotation."""
        if isinstance(value, str):
            if not _is_number(value):
                return value
            self._first.setdefault((of, str), line)
            return int(value)
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            return None
        self._first.setdefault((of, int), line)
        return int(value) if isinstance(value, Decimal) and _is_whole(value) else value

    def mixed(self) -> MixedIds | None:
        for of, kind in self._first:
            if kind is str and (of, int) in self._first:
                text, number = self._first[of, str], self._first[of, int]
                detail = f"The ids of {of}s are text in line {text} and numbers in line {number}: '1' is read as 1."
                return MixedIds(text, detail.replace("categorys", "categories"))
        return None


def _is_number(text: str) -> bool:
    """Written as a number is, so that no two texts become one: not `01`."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS and str(int(text)) == text


def _is_whole(number: Decimal) -> bool:
    return number.is_finite() and abs(number) < 10**_DIGITS and number == number.to_integral_value()


@dataclass(slots=True)
class AnnotationIds:
    """Ids of annotations and their lines, 16 bytes each; a set would take six times as much."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, number: Id, line: int) -> None:
        small = isinstance(number, int) and abs(number) < 1 << 62
        self.ids.append(int(number) if small else hash(number))
        self.lines.append(line)

    def duplicates(self) -> list[tuple[int, int]]:
        """(id, line) of each annotation whose id occurred before, in the order of the file."""
        import numpy as np  # 0.1 s; this module is imported for every archive

        ids = np.frombuffer(self.ids, dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        again = np.sort(order[1:][ids[order[1:]] == ids[order[:-1]]])
        return [(self.ids[at], self.lines[at]) for at in again.tolist()]
