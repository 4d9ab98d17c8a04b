"""Tables as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from string import ascii_lowercase
from typing import Any

MOST = 30  # classes in a matrix that a terminal can show


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def lettered(confusion: Mapping[str, Any]) -> list[str]:
    """A confusion matrix with letters for the names over its columns: rows are what was there."""
    labels, matrix = confusion["labels"], confusion["matrix"]
    if len(labels) > MOST:
        return [f"the confusion matrix of {len(labels)} classes is in metrics.json"]
    letters = [letter for letter, _ in zip(_letters(), labels, strict=False)]
    rows = [["there \\ found", *letters]]
    for label, letter, counts in zip(labels, letters, matrix, strict=True):
        rows.append([f"{letter}  {label}", *(str(count) if count else "." for count in counts)])
    return aligned(rows)


def _letters() -> Iterator[str]:
    """a ... z, aa, ab, ..."""
    yield from ascii_lowercase
    for first, second in product(ascii_lowercase, repeat=2):
        yield first + second
