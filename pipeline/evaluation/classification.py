"""Writes the evaluation of a classifier: metrics, predictions, images, suspect labels and the report."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification_report import classification_report
from pipeline.evaluation.classifier_evaluation import (
    ClassifierEvaluation,
    LabelErrorSearch,
    prediction_rows,
    suspect_label_rows,
)
from pipeline.evaluation.html import write_html
from pipeline.evaluation.images import draw_predictions, draw_suspect_labels
from pipeline.evaluation.matched_predictions import MatchedPredictions, coverage_above, matched_labels
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.report import Cell
from pipeline.evaluation.thresholds import choose_thresholds, with_thresholds
from pipeline.evaluation.workbook import safe_cell, write_workbook
from pipeline.json_file import write_json
from pipeline.plots import draw_training


def write_evaluation(evaluation: ClassifierEvaluation, folder: Path, *, raise_if_cancelled: Callable[[], None]) -> None:
    """Writes metrics.json, predictions.csv, suspect_labels.{csv,json}, *.png and report.{html,xlsx}."""
    metrics = _metrics(evaluation)
    write_json(folder / "metrics.json", metrics)
    _write_csv(folder / "predictions.csv", *prediction_rows(evaluation))
    if evaluation.history:
        draw_training(evaluation.history, folder / "training_curves.png", best_epoch=evaluation.best_epoch or 1)
    for split, predictions in evaluation.predictions.items():
        raise_if_cancelled()
        draw_predictions(
            predictions,
            metrics[split],
            metrics["thresholds"]["classes"],
            evaluation.openers[split],
            folder,
            split=split,
        )
    if evaluation.label_errors:
        raise_if_cancelled()
        _write_suspect_labels(evaluation.label_errors, evaluation.classes, folder)
        draw_suspect_labels(evaluation.label_errors, evaluation.classes, folder / "suspect_labels.png")
    raise_if_cancelled()
    report = classification_report(evaluation, metrics, folder)
    write_html(report, folder / "report.html")
    raise_if_cancelled()
    write_workbook(report, folder / "report.xlsx")


def _metrics(evaluation: ClassifierEvaluation) -> dict[str, Any]:
    """As in metrics.json, with null for a split without images."""
    splits = dict.fromkeys((*HELD_OUT_SPLITS, *evaluation.predictions))
    matched = {split: matched_labels(predictions) for split, predictions in evaluation.predictions.items()}
    chosen = evaluation.thresholds or choose_thresholds(matched.get("val"), evaluation.classes, kind="classification")
    metrics = with_thresholds({split: _metrics_of(evaluation, split) for split in splits}, matched, chosen)
    for split, predictions in matched.items():
        metrics[split]["at_threshold"] |= _coverage(predictions, chosen.of(evaluation.classes))
    return metrics


def _coverage(predictions: MatchedPredictions, thresholds: Sequence[float]) -> dict[str, float | None]:
    coverage, accuracy = coverage_above(predictions, thresholds)
    return {"coverage": round(coverage, 5), "accuracy": None if accuracy is None else round(accuracy, 5)}


def _metrics_of(evaluation: ClassifierEvaluation, split: str) -> dict[str, Any] | None:
    if split not in evaluation.predictions:
        return None
    speed = {"unit": "ms per image", **evaluation.speeds.get(split, {})}
    return {**classification_metrics(evaluation.predictions[split]), "speed": speed}


def _write_suspect_labels(search: LabelErrorSearch, classes: Sequence[str], folder: Path) -> None:
    header, rows = suspect_label_rows(search, classes)
    _write_csv(folder / "suspect_labels.csv", header, rows)
    content = {
        "images": len(rows),
        "flagged": sum(one.flagged for one in search.ranked),
        "out_of_fold_accuracy": round(search.accuracy, 5),
        "features": search.features,
        "labels": [dict(zip((name.replace(" ", "_") for name in header), row, strict=True)) for row in rows],
    }
    write_json(folder / "suspect_labels.json", content, indent=None)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([safe_cell(cell) for cell in row] for row in rows)
