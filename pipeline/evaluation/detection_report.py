"""The report of a detector, from its metrics and the images in the same folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation.html import write_html
from pipeline.evaluation.report import Cell, Figure, Report, Section, Table
from pipeline.evaluation.thresholds_report import thresholds_section
from pipeline.evaluation.workbook import write_workbook

_ROWS = {
    "images": "Images",
    "boxes": "Boxes",
    "mAP50": "mAP at IoU 0.5",
    "mAP50-95": "mAP at IoU 0.5 to 0.95",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "min_score": "Confidence at the peak of smoothed F1",
}
_CLASS_COLUMNS = {
    "images": "images",
    "instances": "boxes",
    "mAP50": "AP50",
    "mAP50-95": "AP50-95",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}


def write_detection_report(
    folder: Path,
    *,
    title: str,
    facts: Mapping[str, Cell],
    metrics: Mapping[str, Any],
    first: Sequence[Section] = (),
) -> None:
    """Writes report.html and report.xlsx into `folder`, where the images are. `metrics` as in metrics.json. `first`:
    sections in place of the summary."""
    splits = [split for split in ("test", "val", "train") if metrics.get(split)]
    sections = [*(first or [_summary(metrics, splits)]), *(_split(split, metrics[split], folder) for split in splits)]
    sections.append(thresholds_section(metrics, splits, kind="detection"))
    curves = folder / "training_curves.png"
    if curves.exists():
        text = "The dotted line marks the epoch whose model was kept."
        sections.append(Section("Training", text, [Figure("", curves)]))
    report = Report(title, _headline(metrics, splits[0]) if splits else [], list(facts.items()), sections)
    write_html(report, folder / "report.html")
    write_workbook(report, folder / "report.xlsx")


def _headline(metrics: Mapping[str, Any], split: str) -> list[tuple[str, str]]:
    names = {"mAP50": "mAP50", "mAP50-95": "mAP50-95", "precision": "precision", "recall": "recall"}
    values = metrics[split]
    return [(f"{name} on {split}", "–" if values[key] is None else f"{values[key]:.3f}") for key, name in names.items()]


def _summary(metrics: Mapping[str, Any], splits: list[str]) -> Section:
    rows: list[list[Cell]] = [[name, *(metrics[split][key] for split in splits)] for key, name in _ROWS.items()]
    rows.append(["Time per image, ms", *(_milliseconds(metrics[split]) for split in splits)])
    text = "The model was chosen by its metrics on val; test was used only for this report."
    return Section("Summary", text if len(splits) > 1 else "", [Table("", ["", *splits], rows)])


def _milliseconds(metrics: Mapping[str, Any]) -> float:
    return float(sum(value for value in metrics["speed"].values() if isinstance(value, float)))


def _split(split: str, metrics: Mapping[str, Any], folder: Path) -> Section:
    confusion = metrics["confusion_matrix"]
    classes: list[list[Cell]] = [
        [name, *(row[key] for key in _CLASS_COLUMNS)] for name, row in metrics["per_class"].items()
    ]
    matrix: list[list[Cell]] = [
        [name, *row] for name, row in zip(confusion["labels"], confusion["matrix"], strict=True)
    ]
    return Section(
        split.capitalize(),
        f"{metrics['images']} images with {metrics['boxes']} boxes.",
        [
            Table("Per class", ["class", *_CLASS_COLUMNS.values()], classes, sheet=f"Classes {split}"),
            Table(
                "Confusion matrix",
                ["ground truth \\ predicted", *confusion["labels"]],
                matrix,
                sheet=f"Confusion {split}",
                shade=True,
                in_page=False,
            ),
            Figure("", folder / f"{split}_confusion_matrix.png", wide=False),
            Figure("", folder / f"{split}_confusion_matrix_normalized.png", wide=False),
            Figure("Precision and recall", folder / f"{split}_curves.png"),
            Figure("Most errors: ground truth left, predicted right", folder / f"{split}_worst.png"),
            Figure("Sample images: ground truth left, predicted right", folder / f"{split}_predictions.png"),
        ],
    )
