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


def at_thresholds(metrics: Mapping[str, Any]) -> list[str]:
    """The thresholds, and precision, recall and F1 above them on each split. Nothing of metrics that have none."""
    thresholds = metrics.get("thresholds")
    if not thresholds:
        return []
    splits = [split for split, values in metrics.items() if values and split != "thresholds"]
    header = ["class", "threshold", "by", *(f"{name} {split}" for split in splits for name in _FIGURES)]
    rows = [["all", number(thresholds["all"]), thresholds["source"], *_above(metrics, splits)]]
    for name, value in thresholds["classes"].items():
        rows.append([name, number(value), thresholds["sources"][name], *_above(metrics, splits, name)])
    return ["above the thresholds", "", *aligned([header, *rows]), ""]


def _above(metrics: Mapping[str, Any], splits: Sequence[str], name: str | None = None) -> list[str]:
    found = [metrics[split] if name is None else metrics[split]["per_class"][name] for split in splits]
    return [number(one["at_threshold"][figure]) for one in found for figure in _FIGURES]


_FIGURES = ("precision", "recall", "f1")


def _letters() -> Iterator[str]:
    """a ... z, aa, ab, ..."""
    yield from ascii_lowercase
    for first, second in product(ascii_lowercase, repeat=2):
        yield first + second
