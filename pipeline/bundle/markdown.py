"""Markdown in which names that people typed are text and nothing else."""

import re
from collections.abc import Iterable, Sequence

from pipeline.archive.entry_names import printable

_SPECIAL = re.compile(r"([\\`*_\[\]<>|&~$#!])")
MAX_NAME = 200  # characters of a name that are displayed

Cell = str | int | float | None  # a text is Markdown already; None could not be measured


def literal(text: object) -> str:
    """One line that is displayed as it is."""
    line = " ".join(str(text).split())
    short = line if len(line) <= MAX_NAME else f"{line[: MAX_NAME - 1]}…"
    return _SPECIAL.sub(r"\\\1", printable(short))


def code(text: object) -> str:
    """One line in the type of code. Backslashes do not escape in it: a backtick becomes an apostrophe."""
    return f"`{printable(' '.join(str(text).split())).replace('`', chr(39)).replace('|', '¦')}`"


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The first column is aligned left, the others right."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, marks, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts(rows: Iterable[tuple[str, Cell]]) -> str:
    """A table of two columns, both aligned left, without those that are None."""
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines])


def items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
