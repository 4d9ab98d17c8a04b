"""The table of a version's classes: figures of each, sorted by any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.domain.evaluation_figures import figure_of_training

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "detection": {
        "images": "Images",
        "instances": "Boxes",
        "mAP50": "AP50",
        "mAP50-95": "AP50-95",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
    },
    "classification": {
        "images": "Images",
        "predicted": "Predicted",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
    },
}
COUNTS = frozenset({"images", "instances", "predicted"})


@dataclass(frozen=True, slots=True)
class ClassRow:
    """`index`: of the class in its order, which gives it its colour. `values`: by the column. `recall`: its interval
    with a confidence of 95 %, of a classifier, where each image is one trial."""

    name: str
    index: int
    values: Mapping[str, float | None]
    recall: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ClassTable:
    """`count`: of all classes. `sort`: a column, or `class`; `direction`: as `aria-sort` says it."""

    columns: Mapping[str, str]
    rows: list[ClassRow]
    count: int
    sort: str
    direction: Literal["ascending", "descending"]

    def next_sort(self, column: str) -> str:
        """What the link of a column's head asks for: numbers begin with the smallest, the worst classes."""
        return f"-{column}" if self.sort == column and self.direction == "ascending" else column


def class_table(
    kind: str, per_class: Mapping[str, Mapping[str, Any]], sort: str, *, most: int | None = None
) -> ClassTable:
    """`per_class`: as in metrics.json. An unknown `sort` is that by the class. `most`: rows, the first of the order."""
    columns = {name: title for name, title in COLUMNS[kind].items() if any(name in row for row in per_class.values())}
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    classes = [(index, name, row) for index, (name, row) in enumerate(per_class.items())]
    if column in columns:
        known = [each for each in classes if _number(each[2].get(column)) is not None]
        known.sort(key=lambda each: _number(each[2].get(column)) or 0, reverse=descending)
        classes = [*known, *(each for each in classes if _number(each[2].get(column)) is None)]
    else:
        column = "class"
        classes = classes[::-1] if descending else classes
    rows = [
        ClassRow(name, index, {each: _number(row.get(each)) for each in columns}, _recall(row, kind))
        for index, name, row in classes[:most]
    ]
    return ClassTable(columns, rows, len(classes), column, "descending" if descending else "ascending")


def _recall(row: Mapping[str, Any], kind: str) -> tuple[float, float] | None:
    figure = figure_of_training(row.get("recall"), row.get("images"), metric="accuracy")
    if kind != "classification" or figure is None or figure.low is None or figure.high is None:
        return None
    return max(0.0, figure.low), min(1.0, figure.high)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
