"""What a command prints: its result on stdout, as text or as JSON, and everything else on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

WIDE = 10_000  # of what is no terminal: a pipe or a file gets each row on one line


class Output:
    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet

    @cached_property
    def stdout(self) -> "Console":
        return console_of(sys.stdout)

    @cached_property
    def stderr(self) -> "Console":
        return console_of(sys.stderr)

    @property
    def is_live(self) -> bool:
        """Whether progress may be drawn: a person watches."""
        return sys.stderr.isatty() and not self.quiet and os.environ.get("TERM") != "dumb"

    def result(self, document: Any, render: "Callable[[], RenderableType | None]") -> None:
        """The one result of a command: `document` with --json, else what `render` makes."""
        if self.as_json:
            _write_json(document, indent=2)
            return
        rendered = render()
        if rendered is not None:
            self.print(rendered)

    def line(self, document: Any) -> None:
        """One of a stream of results, with --json alone: JSON Lines."""
        if self.as_json:
            _write_json(document)

    def print(self, *parts: "RenderableType", soft_wrap: bool = False) -> None:
        """A part of a result for people; nothing with --json."""
        if self.as_json:
            return
        if self.stdout.is_terminal:
            self.stdout.print(*parts, sep="\n", soft_wrap=soft_wrap)
            return
        with self.stdout.capture() as captured:
            self.stdout.print(*parts, sep="\n", soft_wrap=soft_wrap)
        for line in captured.get().splitlines():
            self.stdout.file.write(f"{line.rstrip()}\n")  # the blanks that fill a column
        self.stdout.file.flush()

    def message(self, text: str, *, style: str = "") -> None:
        """For people, on stderr."""
        from darkroom.cli.text import safe

        if not self.quiet:
            self.stderr.print("\n".join(map(safe, text.split("\n"))), style=style or None)

    def warning(self, text: str) -> None:
        from rich.text import Text

        from darkroom.cli.text import safe

        if not self.quiet:
            self.stderr.print(Text.assemble(("warning ", "yellow"), safe(text)))

    @contextmanager
    def progress(self, *, in_bytes: bool = False) -> "Iterator[Progress]":
        """Bars on stderr, cleared at the end; none where nobody watches."""
        from rich import progress as bars

        columns: Sequence[bars.ProgressColumn] = [
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.TaskProgressColumn(markup=True),
        ]
        if in_bytes:
            columns = [*columns, bars.DownloadColumn(), bars.TransferSpeedColumn()]
        columns = [*columns, bars.TimeRemainingColumn(compact=True)]
        with bars.Progress(*columns, console=self.stderr, transient=True, disable=not self.is_live) as drawn:
            yield drawn


def _write_json(document: Any, *, indent: int | None = None) -> None:
    """`document` may hold answers of the client. Escaped to ASCII: to a terminal, no name is more than text."""
    from darkroom.cli.encode import encode

    sys.stdout.write(json.dumps(encode(document), indent=indent) + "\n")
    sys.stdout.flush()


def console_of(stream: TextIO) -> "Console":
    from rich.console import Console

    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else WIDE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)
