"""Reading what `write_paired` wrote: the summary at once, images won or lost by pages."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

RESULTS_FILE = "image_results.npz"  # an artifact of an evaluation: what `write_paired` compares
PAIRED_VERSION = 1  # of what `write_paired` writes: raised with it, so that no older file is read


class PairedPage(NamedTuple):
    """`end`: the number after which the next page begins, None on the last page."""

    images: list[dict[str, Any]]
    end: int | None


def read_summary(file: Path) -> dict[str, Any]:
    with closing(_open(file)) as db:
        (content,) = db.execute("SELECT content FROM summary").fetchone()
    summary: dict[str, Any] = json.loads(content)
    return summary


def read_outcome(file: Path, outcome: str, *, after: int | None, limit: int) -> PairedPage:
    """Those with the largest difference first. `after`: `end` of the page before."""
    statement = "SELECT number, content FROM images WHERE outcome = ? AND number > ? ORDER BY number LIMIT ?"
    with closing(_open(file)) as db:
        rows = db.execute(statement, (outcome, -1 if after is None else after, limit + 1)).fetchall()
    page = rows[:limit]
    return PairedPage([json.loads(content) for _, content in page], page[-1][0] if len(rows) > limit else None)


def _open(file: Path) -> sqlite3.Connection:
    """`immutable`: the file never changes, and may be deleted meanwhile."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
