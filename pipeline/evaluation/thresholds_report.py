"""The thresholds of a model in its report, and what it achieves with them on each split."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.evaluation.report import Cell, Section, Table
from pipeline.evaluation.thresholds import MIN_WANTED

_FIGURES = {"precision": "precision", "recall": "recall", "f1": "F1"}
_SOURCES = {"val": "best F1 on val", "all": "that for all", "default": "the default"}
_EFFECTS = {
    "detection": "Boxes above that of their class are listed.",
    "classification": "An answer that is not above that of its class is marked as unsure.",
}
_COUNTED = {"detection": "boxes", "classification": "images"}


def thresholds_section(metrics: Mapping[str, Any], splits: Sequence[str], *, kind: str) -> Section:
    """`metrics` as in metrics.json."""
    thresholds = metrics["thresholds"]
    header = [
        "class",
        "threshold",
        "chosen by",
        *(f"{name}, {split}" for split in splits for name in _FIGURES.values()),
    ]
    whole: list[Cell] = ["all", thresholds["all"], _SOURCES[thresholds["source"]], *_figures(metrics, splits)]
    rows = [
        [name, value, _SOURCES[thresholds["sources"][name]], *_figures(metrics, splits, name)]
        for name, value in thresholds["classes"].items()
    ]
    text = (
        f"The confidence at which F1 on val is best. {_EFFECTS[kind]} A class with fewer than {MIN_WANTED} "
        f"{_COUNTED[kind]} in val has that for all. The figures count what is above the threshold of its class; those "
        "of all are the mean over the classes."
    )
    tables = [Table("", header, [whole, *rows], sheet="Thresholds")]
    if kind == "classification":
        tables.append(_coverage(metrics, splits))
    return Section("Thresholds", text, tables)


def _coverage(metrics: Mapping[str, Any], splits: Sequence[str]) -> Table:
    names = {"coverage": "Share of images that are sure", "accuracy": "Accuracy on those"}
    rows = [[name, *(metrics[split]["at_threshold"][key] for split in splits)] for key, name in names.items()]
    return Table("Sure answers", ["", *splits], rows)


def _figures(metrics: Mapping[str, Any], splits: Sequence[str], name: str | None = None) -> list[Cell]:
    rows = [metrics[split] if name is None else metrics[split]["per_class"][name] for split in splits]
    return [row["at_threshold"][key] for row in rows for key in _FIGURES]
