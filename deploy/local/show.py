"""How the demo looks: progress while something runs, tables when it is done."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False)

METRICS = ("mAP50", "mAP50-95", "precision", "recall")
SHOWN_FINDINGS = 20


@contextmanager
def step(title: str) -> Iterator["Step"]:
    """One line of the display: spinner, bar, what it does now, how long it took."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("[bold]{task.description:<8}[/]"),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        task = progress.add_task(title, total=None, note="")
        yield Step(progress, task)
        progress.update(task, total=1, completed=1)


class Step:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=escape(text))

    def at(self, done: float, total: float) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def advance(self, amount: float) -> None:
        self._progress.advance(self._task, amount)


def title(text: str, below: str) -> None:
    console.print(f"\n[bold]{escape(text)}[/]  [dim]{escape(below)}[/]\n")


def epoch_note(progress: dict[str, Any]) -> str:
    """`epoch 12/30  mAP50 0.61  about 70 s left` of a run's progress; less where less is known."""
    parts = [f"epoch {progress['epoch']}/{progress['epochs']}"]
    map50 = (progress.get("metrics") or {}).get("mAP50")
    if map50 is not None:
        parts.append(f"mAP50 {map50:.3f}")
    if progress.get("seconds_left"):
        parts.append(f"about {progress['seconds_left']:.0f} s left")
    return "  ".join(parts)


def notes(said: dict[str, Any]) -> None:
    """What the run says about itself, under its line."""
    for text in said.values():
        console.print(f"  [dim]{escape(str(text))}[/]", soft_wrap=True)


def metrics(splits: dict[str, dict[str, Any]]) -> None:
    """`splits`: split -> {mAP50, ..., per_class: {name: {mAP50, ...}}}."""
    table = Table(title="How good it is", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    table.add_column("split")
    table.add_column("class")
    for name in METRICS:
        table.add_column(name, justify="right")
    for split, values in splits.items():
        table.add_row(split, "[bold]all[/]", *(f"[bold]{_shown(values.get(name))}[/]" for name in METRICS))
        for label, own in values.get("per_class", {}).items():
            table.add_row("", escape(label), *(_shown(own.get(name)) for name in METRICS))
    console.print()
    console.print(table)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def findings(items: list[dict[str, Any]], *, total: int) -> None:
    table = Table(title="What is wrong with the data", title_justify="left", title_style="bold", padding=(0, 1))
    for name in ("severity", "code", "file", "line", "detail", "remedy"):
        table.add_column(name, overflow="fold")
    for item in items[:SHOWN_FINDINGS]:
        line = "" if item["line"] is None else str(item["line"])
        row = (item["severity"], item["code"], item["path"], line, item["detail"], item["remedy"])
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)
    if total > SHOWN_FINDINGS:
        console.print(f"... and {total - SHOWN_FINDINGS} more.")


def places(rows: Iterable[tuple[str, object]]) -> None:
    console.print("\n[bold]Where everything is[/]")
    for name, place in rows:
        console.print(f"  [dim]{name:<20}[/]{escape(str(place))}", soft_wrap=True)  # a path is copied whole


def failure(text: str, *, log: Path, log_end: str) -> None:
    console.print(Panel(escape(log_end) or "(empty)", title=f"the end of {escape(str(log))}", border_style="red"))
    console.print(f"[bold red]The demo failed.[/] {escape(text)}")
