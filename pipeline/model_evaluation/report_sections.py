"""What the report of an evaluation says beside the figures of the split: classes, seen images, figures without them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.archive.plural import counted
from pipeline.evaluation.class_match import ClassMatch
from pipeline.evaluation.report import Cell, Section, Table
from pipeline.evaluation.workbook import safe_cell
from pipeline.model_evaluation.parts import Parts
from pipeline.model_evaluation.seen_images import SeenImage

_NAMES = {
    "mAP50-95": "mAP at IoU 0.5 to 0.95",
    "mAP50": "mAP at IoU 0.5",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
_LISTED = 25  # seen images and classes on the page; all are in the workbook
_HEADER = ["image", "is", "like", "of", "split", "differing bits"]


def evaluation_sections(
    parts: Parts,
    match: ClassMatch,
    *,
    figures: Sequence[str],
    main: str,
    left_out: Mapping[str, int],
    unit: tuple[str, str],
) -> list[Section]:
    """`left_out`: class that the model lacks -> its boxes or images, in the `unit`, as one and as several."""
    return [_figures(parts, figures, main), _seen(parts), _classes(match, left_out, unit)]


def write_seen(seen: Sequence[SeenImage], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "kind", "like", "dataset", "split", "differing_bits"])
        rows.writerows([safe_cell(cell) for cell in _row(each)] for each in seen)


def _figures(parts: Parts, figures: Sequence[str], main: str) -> Section:
    columns: list[tuple[str, Mapping[str, Any]]] = [("all images", parts.whole)]
    notes = []
    for title, part in (("not trained on", parts.unseen), ("nor validated on", parts.untouched)):
        if part.figures is not None and part.figures["images"] < columns[-1][1]["images"]:
            columns.append((title, part.figures))
        if part.note not in notes:
            notes.append(part.note)
    rows: list[list[Cell]] = [["Images", *(values["images"] for _, values in columns)]]
    for name in figures:
        rows.append([_NAMES[name], *(values[name] for _, values in columns)])
        if name == main:
            rows.append(["95 % interval", *(_interval(values, main) for _, values in columns)])
    text = f"{' '.join(notes)} The interval has a confidence of 95 %."
    return Section("Figures", text, [Table("", ["", *(title for title, _ in columns)], rows)])


def _interval(values: Mapping[str, Any], main: str) -> str:
    low, high = values["intervals"][main]
    return f"{low:.3f} to {high:.3f}"


def _seen(parts: Parts) -> Section:
    title = "Images that the model has seen"
    if parts.seen is None:
        return Section(title, "It is not known which images the model was trained on, so none could be compared.")
    rows = [_row(each) for each in parts.seen]
    train = sum(each.part == "train" for each in parts.seen)
    text = "None of the images was in the train or val split of a dataset that the model was trained on."
    if rows:
        text = (
            f"Trained on: {counted(train, 'image')}. In a val split, which chose epoch and thresholds: "
            f"{len(rows) - train}. Each is the same file, or a near-duplicate by perceptual hash. A figure on "
            "such images says little about new ones. All are in seen_images.csv."
        )
    if not parts.is_complete:
        text += " Not every dataset that it was trained on could be compared."
    tables = [
        Table("", _HEADER, rows[:_LISTED]),
        Table("", _HEADER, rows, sheet="Seen images", in_page=False),
    ]
    return Section(title, text, tables if rows else ())


def _row(seen: SeenImage) -> list[Cell]:
    kind = "the same file" if seen.bits is None else "a near-duplicate"
    return [seen.path, kind, seen.like, seen.dataset, seen.part, seen.bits]


def _classes(match: ClassMatch, left_out: Mapping[str, int], unit: tuple[str, str]) -> Section:
    text = f"Known to the model by name: {len(match.shared)} of {counted(len(match.dataset), 'class', 'classes')}."
    if match.missing:
        text += f" Left out of the figures: {counted(sum(left_out.values()), *unit)} of the others."
    if match.extra:
        text += f" Not in the dataset: {counted(len(match.extra), 'class', 'classes')} of the model."
    rows: list[list[Cell]] = []
    rows += [[name, "only in the dataset", f"{counted(left_out[name], *unit)} left out"] for name in match.missing]
    rows += [[ours, "spelt otherwise in the model", theirs] for ours, theirs in match.respelt]
    rows += [[name, "only in the model", ""] for name in match.extra]
    header = ["class", "is", ""]
    tables = [Table("", header, rows[:_LISTED]), Table("", header, rows, sheet="Classes matched", in_page=False)]
    return Section("Classes", text, tables if rows else ())
