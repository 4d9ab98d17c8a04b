"""Reading what `write_answers` wrote: the summary at once, images by pages."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

PREDICTIONS_FILE = "predictions.jsonl"  # an artifact of an evaluation
ANSWERS_VERSION = 1  # of what `write_answers` writes: raised with it, so that no older file is read

Order = Literal["worst", "suspect", "path"]
_COLUMNS: dict[Order, str] = {"worst": "worst", "suspect": "suspect", "path": "number"}


class AnswersPage(NamedTuple):
    """`total`: on all pages. `end`: the place after which the next page begins, None on the last one."""

    images: list[dict[str, Any]]
    total: int
    end: int | None


def read_answers_summary(file: Path) -> dict[str, Any]:
    with closing(_open(file)) as db:
        (content,) = db.execute("SELECT content FROM summary").fetchone()
    summary: dict[str, Any] = json.loads(content)
    return summary


def read_answers(file: Path, order: Order, *, after: int, limit: int) -> AnswersPage:
    """`suspect`: those alone that the model denies. `after`: `end` of the page before, -1 for the first page."""
    column = _COLUMNS[order]
    with closing(_open(file)) as db:
        (total,) = db.execute(f"SELECT count({column}) FROM images").fetchone()  # noqa: S608 - one of three
        statement = f"SELECT {column}, content FROM images WHERE {column} > ? ORDER BY {column} LIMIT ?"  # noqa: S608 - as above
        rows = db.execute(statement, (after, limit + 1)).fetchall()
    return _page(rows, total, limit)


def read_cell(file: Path, truth: int, predicted: int, *, after: int, limit: int) -> AnswersPage:
    """The images behind a cell of the confusion matrix: indices in the `labels` of the summary."""
    cell = (truth, predicted)
    with closing(_open(file)) as db:
        (total,) = db.execute("SELECT count(*) FROM pairs WHERE truth = ? AND predicted = ?", cell).fetchone()
        rows = db.execute(
            "SELECT rank, content FROM pairs JOIN images USING (number)"
            " WHERE truth = ? AND predicted = ? AND rank > ? ORDER BY rank LIMIT ?",
            (*cell, after, limit + 1),
        ).fetchall()
    return _page(rows, total, limit)


def _page(rows: list[tuple[int, str]], total: int, limit: int) -> AnswersPage:
    page = rows[:limit]
    end = page[-1][0] if len(rows) > limit else None
    return AnswersPage([json.loads(content) for _, content in page], total, end)


def _open(file: Path) -> sqlite3.Connection:
    """`immutable`: the file never changes, and may be deleted meanwhile."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
