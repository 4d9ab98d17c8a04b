"""Tables as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from string import ascii_lowercase
from typing import Any

MAX_LABELS = 30  # of a matrix; a terminal is about as wide


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column aligned left and the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def lettered(confusion: Mapping[str, Any]) -> list[str]:
    """A confusion matrix with letters for the names over its columns: rows are the ground truth."""
    labels, matrix = confusion["labels"], confusion["matrix"]
    if len(labels) > MAX_LABELS:
        return [f"The confusion matrix of {len(labels)} labels is in metrics.json."]
    letters = [letter for letter, _ in zip(_letters(), labels, strict=False)]
    rows = [["ground truth \\ predicted", *letters]]
    for label, letter, counts in zip(labels, letters, matrix, strict=True):
        rows.append([f"{letter}  {label}", *(str(count) if count else "." for count in counts)])
    return aligned(rows)


def _letters() -> Iterator[str]:
    """a ... z, aa, ab, ..."""
    yield from ascii_lowercase
    for first, second in product(ascii_lowercase, repeat=2):
        yield first + second
