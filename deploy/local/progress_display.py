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
from rich.text import Text

console = Console(highlight=False)

METRICS = ("mAP50", "mAP50-95", "precision", "recall")
CLASS_METRICS = ("accuracy", "precision", "recall", "f1")
MOST_CLASSES, MATRIX_CELL = 16, 8  # a matrix in a terminal: so many columns of so many characters
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
    known = progress.get("metrics") or {}
    parts += [f"{name} {known[name]:.3f}" for name in ("mAP50", "accuracy") if known.get(name) is not None]
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


def classification(splits: dict[str, dict[str, Any]]) -> None:
    """`splits`: split -> {accuracy, f1, per_class, confusion_matrix, ...}. The matrix is that of test, else of val."""
    table = Table(title="How good it is", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    table.add_column("split")
    for name in ("images", *CLASS_METRICS):
        table.add_column(name, justify="right")
    for split, values in splits.items():
        numbers = (_shown(values.get(name)) for name in CLASS_METRICS)
        table.add_row(split, str(values["images"]), *(f"[bold]{number}[/]" for number in numbers))
    console.print()
    console.print(table)
    split = "test" if "test" in splits else "val"
    confusion(splits[split]["confusion_matrix"], title=f"Confusion matrix, {split}: a row is what is there")


def confusion(matrix: dict[str, Any], *, title: str) -> None:
    """Counts on a ground as dark as their share of the row: green on the diagonal, red beside it."""
    labels = matrix["labels"]
    if len(labels) > MOST_CLASSES:
        console.print(f"\n{len(labels)} classes are too many for a matrix here; see the image of it.")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=0, show_edge=False)
    table.add_column("")
    for label in labels:
        table.add_column(escape(label), justify="center", overflow="fold", max_width=MATRIX_CELL, min_width=MATRIX_CELL)
    for row, (label, counts) in enumerate(zip(labels, matrix["matrix"], strict=True)):
        total = sum(counts) or 1
        cells = [_cell(count, count / total, right=row == column) for column, count in enumerate(counts)]
        table.add_row(f"{escape(label)}  ", *cells)
    console.print()
    console.print(table)


def _cell(count: int, share: float, *, right: bool) -> Text:
    if not count:
        return Text("·".center(MATRIX_CELL), style="dim")
    strength = 0.25 + 0.75 * share
    red, green, blue = (round(strength * channel) for channel in ((30, 130, 70) if right else (190, 40, 40)))
    return Text(str(count).center(MATRIX_CELL), style=f"white on rgb({red},{green},{blue})")


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
