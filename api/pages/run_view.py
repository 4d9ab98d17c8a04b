"""What the page of a run draws: its series by group, its params beside the defaults, its log as text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.pages.filters import NONE
from api.pages.training_form import schema_of
from core.domain.main_metrics import MAIN
from core.services.runs.history import RunHistory
from pipeline.params.catalogue import CATALOGUE

# Escape sequences of terminals: colours and cursor movements (ECMA-48 CSI), titles (OSC).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FIRST = (*MAIN, "precision", "recall")  # metrics are drawn in this order, then by name
_STAGES = ("loading", "training", "evaluating", "packing", "storing")
_NAMES = {"lr": "learning rate", "loss": "training", "val_loss": "validation"}


@dataclass(frozen=True, slots=True)
class Series:
    """`name` of the metric; `color`: the place in the palette; `dash`: the pattern of its line, by its place."""

    name: str
    label: str
    color: int
    dash: int


@dataclass(frozen=True, slots=True)
class Chart:
    key: str
    title: str
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Param:
    """`default`: None for a trainer that is no more. `help`: of the schema."""

    name: str
    value: Any
    default: Any
    help: str


@dataclass(frozen=True, slots=True)
class Stage:
    """`standing`: done, now, ended (there), or ahead."""

    name: str
    standing: str


def charts_of(history: RunHistory) -> list[Chart]:
    """Metrics on val, losses, the learning rate: those that any epoch has."""
    names = sorted({name for metrics in history.epochs.values() for name in metrics})
    losses = [name for name in names if name.endswith("loss")]
    rates = [name for name in names if name == "lr" or name.startswith("lr/")]
    metrics = sorted(set(names) - set(losses) - set(rates), key=lambda name: (_place(name), name))
    charts = [
        Chart("metrics", "Metrics on val", [Series(name, name, at, at) for at, name in enumerate(metrics)]),
        Chart("losses", "Losses", _loss_series(losses)),
        Chart("rate", "Learning rate", [Series(name, _NAMES.get(name, name), at, at) for at, name in enumerate(rates)]),
    ]
    return [chart for chart in charts if chart.series]


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _loss_series(names: Sequence[str]) -> list[Series]:
    """A loss on val has the colour of the same loss in training, and a dashed line."""
    kinds = sorted({name.removeprefix("val_") for name in names})
    return [
        Series(name, _NAMES.get(name, name.replace("val_", "val ")), at, int(name != kind))
        for at, kind in enumerate(kinds)
        for name in (kind, f"val_{kind}")
        if name in names
    ]


def figure_rows(history: RunHistory, charts: Sequence[Chart]) -> Markup:
    """Of the table of all figures: an epoch a row, in the columns of the charts. A template takes 30 ms for the 3,300
    cells of 300 epochs."""
    names = [series.name for chart in charts for series in chart.series]
    rows = []
    for epoch, metrics in history.epochs.items():
        cells = "".join(f"<td>{_figure(metrics.get(name))}</td>" for name in names)
        rows.append(f'<tr><th scope="row">{epoch:d}</th>{cells}</tr>')
    return Markup("\n".join(rows))  # noqa: S704 - numbers, as formatted here


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else NONE


def best_of(history: RunHistory) -> tuple[str, float, int] | None:
    """The main metric, its best value so far, and the epoch of that. None before the first."""
    for name in MAIN:
        found = [(value, -number) for number, each in history.epochs.items() if (value := each.get(name)) is not None]
        if found:
            value, number = max(found)
            return name, value, -number
    return None


def split_params(trainer: str, params: Mapping[str, Any]) -> tuple[list[Param], list[Param]]:
    """Those that differ from the default, and the others."""
    schema = schema_of(trainer) if trainer in CATALOGUE else {}
    changed: list[Param] = []
    others: list[Param] = []
    for name, value in params.items():
        known = schema.get(name)
        param = Param(
            name, value, known.get("default") if known else None, known.get("description", "") if known else ""
        )
        is_changed = known is None or _plain(value) != _plain(param.default)
        (changed if is_changed else others).append(param)
    return changed, others


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def stages_of(state: str, stage: str | None, history: RunHistory) -> list[Stage]:
    """The way of a training from the queue to its version. `stage`: of its row, which an ended run has no more."""
    names = ["queued", *_STAGES]
    if state == "succeeded":
        return [Stage(name, "done") for name in names]
    if state == "queued":
        reached = "queued"
    else:
        reached = stage or next((step.name for step in reversed(history.steps) if step.name in names), "queued")
    now = names.index(reached) if reached in names else 1
    here = "now" if state in ("queued", "running", "cancelling") else "ended"
    return [Stage(name, "done" if at < now else here if at == now else "ahead") for at, name in enumerate(names)]


def log_text(content: bytes) -> str:
    """As a terminal would show it in the end: of a line with carriage returns the last state, without escapes."""
    text = _ESCAPES.sub("", content.decode("utf-8", "replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(_CONTROLS.sub("", line) for line in lines)
