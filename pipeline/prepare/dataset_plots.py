"""The plots of a prepared dataset, drawn in a process beside what follows: matplotlib takes a second of a core."""

import io
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from core.domain.keys import plots_of
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.pool import Crash, DecodePool
from pipeline.plots.dataset import PLOTS

PLOTS_FOLDER = "plots"
Tick = Callable[[int, int], None]


class PlotTask(NamedTuple):
    """`measured`: as the plot's `measure` returns it."""

    name: str
    measured: Any


@contextmanager
def drawing_plots(
    dataset: ValidatedDataset, out: Path, *, processes: int
) -> Iterator[Callable[[Tick], tuple[str, ...]]]:
    """Draw `plots/<name>.png` below `out` while the body runs; with one process, before it.

    What it yields waits for them, calling a tick that may raise to stop, and returns the names of those that were
    drawn.
    """
    folder = out / PLOTS_FOLDER
    folder.mkdir(exist_ok=True)
    tasks = [task for name in plots_of(dataset.kind) if (task := _measured(name, dataset)) is not None]
    if processes == 1:
        drawn = [draw_png(task) for task in tasks]
        yield lambda _: _written(folder, tasks, drawn)
        return
    with DecodePool(draw_png, parse=bytes, processes=1) as pool:
        pool.submit(tasks)
        yield lambda tick: _written(folder, tasks, pool.answers(tick))


def draw_png(task: PlotTask) -> bytes:
    """Empty where it cannot be drawn: that does not reject a dataset. The log has the error."""
    target = io.BytesIO()
    try:
        PLOTS[task.name].draw(target, task.measured)
    except Exception:  # noqa: BLE001 - see above
        traceback.print_exc(file=sys.stderr)
        return b""
    return target.getvalue()


def _measured(name: str, dataset: ValidatedDataset) -> PlotTask | None:
    try:
        return PlotTask(name, PLOTS[name].measure(dataset.images, dataset.classes, dataset.splits))
    except Exception:  # noqa: BLE001 - as in `draw_png`
        traceback.print_exc(file=sys.stderr)
        return None


def _written(folder: Path, tasks: list[PlotTask], drawn: "list[bytes] | list[bytes | Crash]") -> tuple[str, ...]:
    names = []
    for task, content in zip(tasks, drawn, strict=True):
        if content and not isinstance(content, Crash):
            (folder / f"{task.name}.png").write_bytes(content)
            names.append(task.name)
    return tuple(names)
