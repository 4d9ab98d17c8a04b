"""The report of a classifier, test first: it is what counts, and was looked at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation.metrics import TOP
from pipeline.evaluation.outcome import ClassifierEvaluation, Suspected, prediction_rows, suspect_rows
from pipeline.evaluation.report import Cell, Figure, Report, Section, Table

_ROWS = {
    "images": "Images",
    "accuracy": "Accuracy",
    "top5": "Label among the first 5",
    "precision": "Precision, mean over classes",
    "recall": "Recall, mean over classes",
    "f1": "F1, mean over classes",
    "precision_weighted": "Precision, by images",
    "recall_weighted": "Recall, by images",
    "f1_weighted": "F1, by images",
    "log_loss": "Log loss",
}
_LISTED = 15  # suspects in the page; all of them are in the workbook
_SMALL_MATRIX = 6  # classes; the numbers of a larger one need the whole page


def classification_report(outcome: ClassifierEvaluation, metrics: Mapping[str, Any], folder: Path) -> Report:
    """`metrics` as in metrics.json; images are taken from `folder`."""
    splits = [split for split in ("test", "val", "train") if metrics.get(split)]
    first = metrics[splits[0]]
    headline = [
        (f"accuracy on {splits[0]}", f"{first['accuracy']:.1%}"),
        (f"F1, mean over classes, on {splits[0]}", f"{first['f1']:.3f}"),
        (f"images in {splits[0]}", str(first["images"])),
        (f"calibration error on {splits[0]}", f"{first['calibration']['ece']:.3f}"),
    ]
    if len(outcome.classes) > TOP:  # of five classes all are among the first five
        headline.insert(2, (f"label among the first {TOP} on {splits[0]}", f"{first['top5']:.1%}"))
    sections = [_summary(metrics, splits, is_trained=bool(outcome.history))]
    sections += [_split(split, metrics[split], folder) for split in splits]
    if outcome.history:
        image = Figure("", folder / "training_curves.png")
        sections.append(Section("Training", "The dotted line is the epoch whose model was kept.", [image]))
    if outcome.suspects:
        sections.append(_suspects(outcome.suspects, outcome.classes, folder))
    header, rows = prediction_rows(outcome)
    table = Table("", header, rows, sheet="Predictions", in_page=False)
    sections.append(
        Section("Every prediction", "In predictions.csv and on a sheet of report.xlsx, for val and test.", [table])
    )
    return Report(outcome.title, headline, list(outcome.facts.items()), sections)


def _summary(metrics: Mapping[str, Any], splits: list[str], *, is_trained: bool) -> Section:
    rows: list[list[Cell]] = [[name, *(metrics[split][key] for split in splits)] for key, name in _ROWS.items()]
    rows.append(["Calibration error (ECE)", *(metrics[split]["calibration"]["ece"] for split in splits)])
    rows.append(["Time for an image, ms", *(_milliseconds(metrics[split]) for split in splits)])
    text = "The model was chosen by its numbers on val; test was kept apart until the end."
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
            Table("Each class", ["class", *_CLASS_COLUMNS.values()], _class_rows(metrics), sheet=f"Classes {split}"),
            Table(
                "Confusion matrix",
                ["there \\ found", *confusion["labels"]],
                matrix,
                sheet=f"Confusion {split}",
                shade=True,
                in_page=False,
            ),
            Figure("", folder / f"{split}_confusion_matrix.png", wide=len(confusion["labels"]) > _SMALL_MATRIX),
            Figure("", folder / f"{split}_reliability.png", wide=False),
            Table("Most confused", ["label", "taken for", "images", "share of the label's"], _pair_rows(metrics)),
            Figure("Worst judged: the label got the least probability", folder / f"{split}_worst.png"),
        ],
    )


_CLASS_COLUMNS = {"images": "images", "found": "found", "precision": "precision", "recall": "recall", "f1": "F1"}


def _class_rows(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    return [[name, *(row[key] for key in _CLASS_COLUMNS)] for name, row in metrics["per_class"].items()]


def _pair_rows(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    return [[pair["true"], pair["predicted"], pair["images"], pair["share"]] for pair in metrics["most_confused"]]


def _suspects(suspected: Suspected, classes: tuple[str, ...], folder: Path) -> Section:
    header, rows = suspect_rows(suspected, classes)
    flagged = sum(one.flagged for one in suspected.ranked)
    text = (
        f"{flagged} of {len(rows)} labels look wrong to a judge that saw each image without its label; by itself it "
        f"is right in {suspected.accuracy:.0%}. Look at the first ones. All are in suspect_labels.csv."
    )
    return Section(
        "Suspect labels",
        text,
        [
            Table("", header, rows[:_LISTED]),
            Table("", header, rows, sheet="Suspect labels", in_page=False),
            Figure("The first of the list", folder / "suspect_labels.png"),
        ],
    )
