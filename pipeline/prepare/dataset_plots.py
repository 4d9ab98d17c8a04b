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
from pipeline.plots.style import import_matplotlib

PLOTS_FOLDER = "plots"
Tick = Callable[[int, int], None]


class PlotTask(NamedTuple):
    """`measured`: as the plot's `measure` returns it."""

    name: str
    measured: Any


_IMPORTS = PlotTask("", None)  # the first task: what the others need is imported
BeginPlots = Callable[[ValidatedDataset], Callable[[Tick], tuple[str, ...]]]


@contextmanager
def drawing_plots(out: Path, *, processes: int) -> Iterator[BeginPlots]:
    """A process that imports matplotlib while the body runs, with one process none.

    What it yields begins to draw `plots/<name>.png` of a dataset below `out`. That returns what waits for them, calling
    a tick that may raise to stop, and returns the names of those that were drawn.
    """
    if processes == 1:
        yield lambda dataset: _drawn_here(dataset, out)
        return
    with DecodePool(draw_png, parse=bytes, processes=1) as pool:
        pool.submit([_IMPORTS])
        yield lambda dataset: _begin(dataset, out, pool)


def _drawn_here(dataset: ValidatedDataset, out: Path) -> Callable[[Tick], tuple[str, ...]]:
    folder, tasks = _folder(out), _tasks(dataset)
    drawn = [draw_png(task) for task in tasks]
    return lambda _: _written(folder, tasks, drawn)


def _begin(
    dataset: ValidatedDataset, out: Path, pool: DecodePool[PlotTask, bytes]
) -> Callable[[Tick], tuple[str, ...]]:
    folder, tasks = _folder(out), _tasks(dataset)
    pool.submit(tasks)
    return lambda tick: _written(folder, tasks, pool.answers(tick)[1:])  # the first is that of the imports


def _folder(out: Path) -> Path:
    folder = out / PLOTS_FOLDER
    folder.mkdir(exist_ok=True)
    return folder


def _tasks(dataset: ValidatedDataset) -> list[PlotTask]:
    return [task for name in plots_of(dataset.kind) if (task := _measured(name, dataset)) is not None]


def draw_png(task: PlotTask) -> bytes:
    """Empty where it cannot be drawn: that does not reject a dataset. The log has the error."""
    target = io.BytesIO()
    try:
        if task == _IMPORTS:
            import_matplotlib()
            return b""
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
