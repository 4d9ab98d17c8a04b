"""A training while it runs: stage, epoch, time left, the newest metrics, and a curve of the main one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from darkroom.cli.curves import curve
from darkroom.cli.main_metrics import MAIN, numbers
from darkroom.cli.tables import state
from darkroom.cli.text import duration, figure, safe

if TYPE_CHECKING:
    from rich.columns import Columns
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

HEIGHT = 6
AXIS = 8  # columns of the values beside the curve
MAX_WIDTH = 100


@dataclass
class TrainingView:
    """Gets each event of the run, oldest first, and draws itself."""

    run_id: str
    project: str
    state: str = "queued"
    stage: str = ""
    epoch: int = 0
    epochs: int = 0
    seconds_left: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)

    def add(self, data: Mapping[str, Any]) -> bool:
        """The fields of the run that an event changed. Returns whether an epoch ended."""
        self.state = str(data.get("state") or self.state)
        self.stage = str(data["stage"] or "") if "stage" in data else self.stage
        progress = data.get("progress") or {}
        epoch = int(progress.get("epoch") or 0)
        self.epochs = int(progress.get("epochs") or self.epochs)
        self.seconds_left = progress.get("seconds_left", self.seconds_left)
        if epoch <= self.epoch:
            return False
        self.epoch = epoch
        self.metrics = numbers(progress.get("metrics") or {})
        for name, value in self.metrics.items():
            self.history.setdefault(name, []).append(value)
        return True

    @property
    def main(self) -> str:
        """The metric that is drawn: a main one, else the first."""
        return next((name for name in MAIN if name in self.history), next(iter(self.history), ""))

    def line(self) -> str:
        """An epoch on one line, where nothing can be drawn."""
        parts = [f"epoch {self.epoch}/{self.epochs}"]
        parts += [f"{safe(name)} {figure(value)}" for name, value in self.metrics.items()]
        if self.seconds_left and self.state == "running":
            parts.append(f"{duration(self.seconds_left)} left")
        return "  ".join(parts)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield self._head()
        width = min(options.max_width, MAX_WIDTH)
        if self.epochs:
            yield self._bar(width)
        if self.main:
            yield from self._curve(width - AXIS - 1)
            yield self._metrics()

    def _head(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        head = Table.grid(padding=(0, 2, 0, 0))
        text = Text.assemble((safe(self.run_id), "bold"), "  ", state(self.state))
        if self.stage:
            text.append(f"  {safe(self.stage)}", "dim")
        head.add_row(text)
        return head

    def _bar(self, width: int) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=AXIS - 1)
        left = f"{duration(self.seconds_left)} left" if self.seconds_left and self.state == "running" else ""
        bar = ProgressBar(total=self.epochs, completed=self.epoch, width=max(10, min(40, width - 40)))
        line.add_row("epoch", bar, f"{self.epoch}/{self.epochs}", left)
        return line

    def _curve(self, width: int) -> "RenderResult":
        from rich.text import Text

        values = self.history[self.main]
        low, high = min(values), max(values)
        yield Text.assemble(
            "\n", (safe(self.main), "bold"), f"  {figure(values[-1])}", (f"  best {figure(high)}", "dim")
        )
        for number, line in enumerate(curve(values, width=max(10, width), height=HEIGHT)):
            axis = figure(high) if number == 0 else figure(low) if number == HEIGHT - 1 else ""
            yield Text.assemble((f"{axis:>{AXIS - 1}} ", "dim"), (line, "cyan"))

    def _metrics(self) -> "Columns":
        from rich.columns import Columns
        from rich.text import Text

        others = [
            Text.assemble((f"{safe(name)} ", "dim"), figure(value))
            for name, value in self.metrics.items()
            if name != self.main
        ]
        return Columns(others, padding=(0, 3))
