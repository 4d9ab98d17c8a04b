"""A report as plain data: sections of tables and figures. `html` and `workbook` write it, for every kind of model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Cell = str | int | float | None  # None is a number that could not be measured


@dataclass(frozen=True, slots=True)
class Table:
    """`sheet`: the name of its own sheet in the workbook. `shade`: numbers are coloured by their share of the row.

    `in_page` is False for a table of thousands of rows: it is in the workbook only.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sheet: str = ""
    shade: bool = False
    in_page: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """`path` of a PNG; without that file the figure is left out."""

    title: str
    path: Path
    wide: bool = True  # as wide as the page; two narrow ones stand side by side


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    text: str = ""
    parts: Sequence[Table | Figure] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """`headline`: the main metrics. `facts`: the model and how it was trained."""

    title: str
    headline: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, Cell]]
    sections: Sequence[Section] = field(default_factory=tuple)


def cell_text(value: Cell) -> str:
    """Fractions to three places; a dash for what could not be measured."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
