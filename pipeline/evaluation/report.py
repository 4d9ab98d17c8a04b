"""A report as plain data: sections of tables and images. `html` and `workbook` write it, whatever it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Cell = str | int | float | None  # None is a number that could not be measured


@dataclass(frozen=True, slots=True)
class Table:
    """`sheet`: also a sheet of the workbook, under this name. `shade`: numbers are coloured by their share of the row.

    `in_page`: a table of thousands of rows belongs in the workbook only.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sheet: str = ""
    shade: bool = False
    in_page: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """`path` of a PNG; without that file there is no image."""

    title: str
    path: Path
    wide: bool = True  # over the whole page; two that are not stand side by side


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    text: str = ""
    parts: Sequence[Table | Figure] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """`headline` are the few numbers that matter, `facts` what the model is and how it was made."""

    title: str
    headline: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, Cell]]
    sections: Sequence[Section] = field(default_factory=tuple)


def shown(value: Cell) -> str:
    """A cell for people: fractions to three places, nothing for what could not be measured."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
