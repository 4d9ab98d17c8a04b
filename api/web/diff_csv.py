"""The difference of two datasets as CSV: a line for each class, image, box, label or split that differs."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

from core.domain.spreadsheet import as_text_cell
from pipeline.index.diff_summary import ImageChange
from pipeline.index.differences import Difference, differences
from pipeline.index.read_diff import ComparedDatasets

EDGES = ("x1", "y1", "x2", "y2")
COLUMNS = (
    *("item", "change", "path", "before", "after"),
    *(f"{edge}_{side}" for side in ("before", "after") for edge in EDGES),
)
_ROWS_AT_ONCE = 1000


def diff_csv(compared: ComparedDatasets, *, change: ImageChange | None) -> Iterator[bytes]:
    """Yields RFC 4180 in UTF-8, the header first. `before` and `after`: a class, path, split or sha256, or an id; edges
    of boxes in pixels."""
    found = differences(compared, change=change)
    rows: list[tuple[Any, ...]] = [COLUMNS]
    while rows:
        out = io.StringIO()
        csv.writer(out).writerows(rows)
        yield out.getvalue().encode()
        rows = [_row(each) for each in islice(found, _ROWS_AT_ONCE)]


def _row(difference: Difference) -> tuple[str, ...]:
    texts = (difference.item, difference.change, difference.path, _text(difference.old), _text(difference.new))
    edges = [_edge(side, edge) for side in (difference.old, difference.new) for edge in EDGES]
    return (*map(as_text_cell, texts), *edges)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = next(value[name] for name in ("id", "sha256", "class") if name in value)
    return "" if value is None else str(value)


def _edge(value: Any, name: str) -> str:
    return f"{value[name]:g}" if isinstance(value, dict) and name in value else ""
