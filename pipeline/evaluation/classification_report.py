"""The report of a classifier. The test split comes first: nothing was chosen by it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation.classifier_evaluation import (
    ClassifierEvaluation,
    LabelErrorSearch,
    prediction_rows,
    suspect_label_rows,
)
from pipeline.evaluation.metrics import TOP
from pipeline.evaluation.report import Cell, Figure, Report, Section, Table
from pipeline.evaluation.thresholds_report import thresholds_section

_ROWS = {
    "images": "Images",
    "accuracy": "Accuracy",
    "top5": "Top-5 accuracy",
    "precision": "Precision, macro",
    "recall": "Recall, macro",
    "f1": "F1, macro",
    "precision_weighted": "Precision, weighted",
    "recall_weighted": "Recall, weighted",
    "f1_weighted": "F1, weighted",
    "log_loss": "Log loss",
}
_LISTED = 15  # suspect labels on the page; all are in the workbook
_SMALL_MATRIX = 6  # classes; a larger matrix is as wide as the page


def classification_report(evaluation: ClassifierEvaluation, metrics: Mapping[str, Any], folder: Path) -> Report:
    """`metrics` as in metrics.json; images are taken from `folder`."""
    splits = [split for split in ("test", "val", "train") if metrics.get(split)]
    first = metrics[splits[0]]
    headline = [
        (f"accuracy on {splits[0]}", f"{first['accuracy']:.1%}"),
        (f"macro F1 on {splits[0]}", f"{first['f1']:.3f}"),
        (f"images in {splits[0]}", str(first["images"])),
        (f"calibration error on {splits[0]}", f"{first['calibration']['ece']:.3f}"),
    ]
    if len(evaluation.classes) > TOP:  # with five classes it is always 1
        headline.insert(2, (f"top-{TOP} accuracy on {splits[0]}", f"{first['top5']:.1%}"))
    sections = list(evaluation.first) or [_summary(metrics, splits, is_trained=bool(evaluation.history))]
    sections += [_split(split, metrics[split], folder) for split in splits]
    sections.append(thresholds_section(metrics, splits, kind="classification"))
    if evaluation.history:
        image = Figure("", folder / "training_curves.png")
        sections.append(Section("Training", "The dotted line marks the epoch whose model was kept.", [image]))
    if evaluation.label_errors:
        sections.append(_suspect_labels(evaluation.label_errors, evaluation.classes, folder))
    header, rows = prediction_rows(evaluation)
    table = Table("", header, rows, sheet="Predictions", in_page=False)
    sections.append(
        Section("All predictions", "They are in predictions.csv and on the sheet Predictions of report.xlsx.", [table])
    )
    return Report(evaluation.title, headline, list(evaluation.facts.items()), sections)


def _summary(metrics: Mapping[str, Any], splits: list[str], *, is_trained: bool) -> Section:
    rows: list[list[Cell]] = [[name, *(metrics[split][key] for split in splits)] for key, name in _ROWS.items()]
    rows.append(["Calibration error (ECE)", *(metrics[split]["calibration"]["ece"] for split in splits)])
    rows.append(["Time per image, ms", *(_milliseconds(metrics[split]) for split in splits)])
    text = "The model was chosen by its metrics on val; test was used only for this report."
    return Section("Summary", text if is_trained and len(splits) > 1 else "", [Table("", ["", *splits], rows)])


def _milliseconds(metrics: Mapping[str, Any]) -> float:
    return float(sum(value for value in metrics["speed"].values() if isinstance(value, float)))


def _split(split: str, metrics: Mapping[str, Any], folder: Path) -> Section:
    confusion = metrics["confusion_matrix"]
    matrix: list[list[Cell]] = [
        [name, *row] for name, row in zip(confusion["labels"], confusion["matrix"], strict=True)
    ]
    return Section(
        split.capitalize(),
        f"{metrics['images']} images.",
        [
            Table("Per class", ["class", *_CLASS_COLUMNS.values()], _class_rows(metrics), sheet=f"Classes {split}"),
            Table(
                "Confusion matrix",
                ["ground truth \\ predicted", *confusion["labels"]],
                matrix,
                sheet=f"Confusion {split}",
                shade=True,
                in_page=False,
            ),
            Figure("", folder / f"{split}_confusion_matrix.png", wide=len(confusion["labels"]) > _SMALL_MATRIX),
            Figure("", folder / f"{split}_reliability.png", wide=False),
            Figure("", folder / f"{split}_f1_by_confidence.png", wide=False),
            Table("Most confused", _PAIR_COLUMNS, _pair_rows(metrics)),
            Figure("Least probable ground truth", folder / f"{split}_worst.png"),
        ],
    )


_CLASS_COLUMNS = {
    "images": "images",
    "predicted": "predicted",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}


_PAIR_COLUMNS = ["ground truth", "predicted", "images", "share of the class"]


def _class_rows(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    return [[name, *(row[key] for key in _CLASS_COLUMNS)] for name, row in metrics["per_class"].items()]


def _pair_rows(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    return [[pair["true"], pair["predicted"], pair["images"], pair["share"]] for pair in metrics["most_confused"]]


def _suspect_labels(search: LabelErrorSearch, classes: tuple[str, ...], folder: Path) -> Section:
    header, rows = suspect_label_rows(search, classes)
    flagged = sum(one.flagged for one in search.ranked)
    text = (
        f"{flagged} of {len(rows)} labels are likely wrong, by a classifier that was fitted without the image in "
        f"question. It agrees with {search.accuracy:.0%} of the labels: the lower that is, the less reliable the "
        "ranking. All images are in suspect_labels.csv, most suspect first."
    )
    return Section(
        "Suspect labels",
        text,
        [
            Table("", header, rows[:_LISTED]),
            Table("", header, rows, sheet="Suspect labels", in_page=False),
            Figure("Most suspect", folder / "suspect_labels.png"),
        ],
    )
