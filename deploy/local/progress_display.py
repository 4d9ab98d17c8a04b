"""The terminal output of the demo: progress while something runs, tables when it is done."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from darkroom.schemas import Finding, ModelVersion

console = Console(highlight=False)

METRICS = ("mAP50", "mAP50-95", "precision", "recall")
CLASS_METRICS = ("accuracy", "precision", "recall", "f1")
MAX_MATRIX_CLASSES, MATRIX_CELL = 16, 8  # a confusion matrix in a terminal: columns, and characters in each
MAX_FINDINGS = 20


@contextmanager
def step(title: str) -> Iterator["Step"]:
    """One line of the display: spinner, name, bar, time, and a note on the current state."""
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


def epoch_note(progress: Mapping[str, Any]) -> str:
    """`epoch 12/30  mAP50 0.61  about 70 s left` of a run's progress; metrics and time only once they are known."""
    parts = [f"epoch {progress['epoch']}/{progress['epochs']}"]
    known = progress.get("metrics") or {}
    parts += [f"{name} {known[name]:.3f}" for name in ("mAP50", "accuracy") if known.get(name) is not None]
    if progress.get("seconds_left"):
        parts.append(f"about {progress['seconds_left']:.0f} s left")
    return "  ".join(parts)


def notes(texts: Mapping[str, Any]) -> None:
    """The notes of a run, below its line."""
    for text in texts.values():
        console.print(f"  [dim]{escape(str(text))}[/]", soft_wrap=True)


def metrics(splits: dict[str, dict[str, Any]]) -> None:
    """`splits`: split -> {mAP50, ..., per_class: {name: {mAP50, ...}}}."""
    table = Table(title="Metrics", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    table.add_column("split")
    table.add_column("class")
    for name in METRICS:
        table.add_column(name, justify="right")
    for split, values in splits.items():
        table.add_row(split, "[bold]all[/]", *(f"[bold]{number(values.get(name))}[/]" for name in METRICS))
        for label, own in values.get("per_class", {}).items():
            table.add_row("", escape(label), *(number(own.get(name)) for name in METRICS))
    console.print()
    console.print(table)


def classification(splits: dict[str, dict[str, Any]]) -> None:
    """`splits`: split -> {accuracy, f1, per_class, confusion_matrix, ...}. The matrix is that of test, else of val."""
    table = Table(title="Metrics", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    table.add_column("split")
    for name in ("images", *CLASS_METRICS):
        table.add_column(name, justify="right")
    for split, values in splits.items():
        numbers = (number(values.get(name)) for name in CLASS_METRICS)
        table.add_row(split, str(values["images"]), *(f"[bold]{number}[/]" for number in numbers))
    console.print()
    console.print(table)
    split = "test" if "test" in splits else "val"
    confusion(
        splits[split]["confusion_matrix"], title=f"Confusion matrix, {split} (rows: ground truth, columns: predicted)"
    )


def versions(items: Sequence[tuple[ModelVersion, str]]) -> None:
    """Oldest first, each with the name of the dataset that it was trained on."""
    splits = [version.metrics.get("test") or version.metrics.get("val") or {} for version, _ in items]
    names = (METRICS if any(METRICS[0] in split for split in splits) else CLASS_METRICS)[:2]
    table = Table(title="Versions", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    for column in ("version", "dataset", "made from"):
        table.add_column(column, overflow="fold")
    for name in names:  # the main two: a terminal has 80 columns
        table.add_column(name, justify="right")
    table.add_column("alias", overflow="fold")
    for (version, dataset), split in zip(items, splits, strict=True):
        made_from = str(version.params.get("model") or version.trainer)
        numbers = (number(split.get(name)) for name in names)
        aliases = ", ".join(f"@{alias}" for alias in version.aliases)
        cells = (version.name, dataset, made_from, *numbers)
        table.add_row(*(escape(cell) for cell in cells), f"[green]{escape(aliases)}[/]")
    console.print()
    console.print(table)
    console.print("  [dim]each on the test split of its own dataset; on val where it has none[/]\n")


def confusion(matrix: dict[str, Any], *, title: str) -> None:
    """Counts on a background as strong as their share of the row: green on the diagonal, red beside it."""
    labels = matrix["labels"]
    if len(labels) > MAX_MATRIX_CLASSES:
        console.print(f"\nThe confusion matrix of {len(labels)} classes is too large for the terminal; see its image.")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=0, show_edge=False)
    table.add_column("")
    for label in labels:
        table.add_column(escape(label), justify="center", overflow="fold", max_width=MATRIX_CELL, min_width=MATRIX_CELL)
    for row, (label, counts) in enumerate(zip(labels, matrix["matrix"], strict=True)):
        total = sum(counts) or 1
        cells = [_cell(count, count / total, correct=row == column) for column, count in enumerate(counts)]
        table.add_row(f"{escape(label)}  ", *cells)
    console.print()
    console.print(table)


def _cell(count: int, share: float, *, correct: bool) -> Text:
    if not count:
        return Text("·".center(MATRIX_CELL), style="dim")
    strength = 0.25 + 0.75 * share
    red, green, blue = (round(strength * channel) for channel in ((30, 130, 70) if correct else (190, 40, 40)))
    return Text(str(count).center(MATRIX_CELL), style=f"white on rgb({red},{green},{blue})")


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def findings(items: Iterable[Finding], *, total: int) -> None:
    table = Table(title="Findings", title_justify="left", title_style="bold", padding=(0, 1))
    for name in ("severity", "code", "file", "line", "detail", "remedy"):
        table.add_column(name, overflow="fold")
    for item in islice(items, MAX_FINDINGS):
        line = "" if item.line is None else str(item.line)
        row = (item.severity, item.code, item.path, line, item.detail, item.remedy)
        table.add_row(*map(escape, row))
    console.print(table)
    if total > MAX_FINDINGS:
        console.print(f"... and {total - MAX_FINDINGS} more.")


def locations(rows: Iterable[tuple[str, object]]) -> None:
    """Names and the files or addresses that they stand for."""
    console.print("\n[bold]Files and addresses[/]")
    for name, location in rows:
        console.print(f"  [dim]{name:<20}[/]{escape(str(location))}", soft_wrap=True)  # a path can be copied whole


def failure(text: str, *, log: Path, log_end: str) -> None:
    console.print(Panel(escape(log_end) or "(empty)", title=f"last lines of {escape(str(log))}", border_style="red"))
    console.print(f"[bold red]The demo failed.[/] {escape(text)}")
