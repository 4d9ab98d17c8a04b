"""Tables for a terminal: columns give way one by one where it is narrow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from darkroom.cli.text import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

GAP = 2  # between two columns, and before what stands below a row

STATES = {
    "ok": "green", "ready": "green", "succeeded": "green", "passed": "green", "done": "green",
    "queued": "yellow", "received": "yellow", "running": "cyan", "preparing": "cyan", "cancelling": "yellow",
    "warning": "yellow", "warn": "yellow", "degraded": "yellow", "note": "cyan",
    "failed": "red", "fail": "red", "rejected": "red", "error": "red", "cancelled": "bright_black",
    "deleted": "bright_black",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """`from_width`: the width of the terminal from which on it is there. `wraps`: takes several lines, else one.
    `whole`: is never cut, so that an id can be copied; other columns give way. `below`: where it is not there, it is
    printed below its row."""

    name: str
    right: bool = False
    wraps: bool = False
    whole: bool = False
    from_width: int = 0
    style: str = ""
    below: bool = False


@dataclass(frozen=True)
class Rows:
    """A table whose cells are texts from outside, or `Text` of our own. `empty`: what is printed without any rows."""

    columns: Sequence[Column]
    cells: Sequence[Sequence["str | Text"]]
    title: str = ""
    empty: str = ""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        if not self.cells and self.empty:
            yield Text(self.empty, style="dim")
            return
        if self.title:
            yield Text(self.title, style="bold")
        width = options.max_width
        kept = [index for index, column in enumerate(self.columns) if column.from_width <= width]
        below = [index for index, column in enumerate(self.columns) if column.below and index not in kept]
        if not below:
            yield self._table(kept, self.cells)
            return
        widths = self._widths(kept, width)
        for number, row in enumerate(self.cells):
            yield self._table(kept, [row], widths=widths, has_header=number == 0)
            yield from (_indented(_text(row[index])) for index in below if _text(row[index]))

    def _table(
        self,
        kept: Sequence[int],
        cells: Sequence[Sequence["str | Text"]],
        *,
        widths: Mapping[int, int] | None = None,
        has_header: bool = True,
    ) -> "Table":
        from rich.table import Table

        table = Table(box=None, padding=(0, GAP, 0, 0), header_style="dim", pad_edge=False, show_header=has_header)
        for index in kept:
            column = self.columns[index]
            table.add_column(
                column.name, justify="right" if column.right else "left", style=column.style or None,
                no_wrap=not column.wraps, min_width=self._length(index) if column.whole else None,
                width=widths[index] if widths else None, overflow="fold" if column.wraps else "ellipsis",
            )  # fmt: skip
        for row in cells:
            table.add_row(*(_text(row[index]) for index in kept))
        return table

    def _widths(self, kept: Sequence[int], width: int) -> dict[int, int]:
        """The same for every row: what each column needs, and those that wrap share what is left."""
        widths = {index: self._length(index) for index in kept}
        wrapping = sorted((index for index in kept if self.columns[index].wraps), key=widths.__getitem__)
        left = width - GAP * len(kept) - sum(widths[index] for index in kept if index not in wrapping)
        for place, index in enumerate(wrapping):
            widths[index] = max(1, min(widths[index], left // (len(wrapping) - place)))
            left -= widths[index]
        return widths

    def _length(self, index: int) -> int:
        return max([len(self.columns[index].name), *(_text(row[index]).cell_len for row in self.cells)])


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line."""

    pairs: Mapping[str, "str | Text"]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self.pairs.items():
            table.add_row(_text(name), _text(value))
        yield table


def _indented(text: "Text") -> "Padding":
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, GAP))


def state(name: str) -> "Text":
    from rich.text import Text

    return Text(safe(name), style=STATES.get(name, ""))


def styled(value: object, style: str) -> "Text":
    from rich.text import Text

    return Text(safe(value), style=style)


def _text(cell: "str | Text") -> "Text":
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(safe(cell))
