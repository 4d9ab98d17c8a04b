"""What a classifier's run leaves besides its model: numbers, predictions, images, suspect labels and the report."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification_report import classification_report
from pipeline.evaluation.html import write_html
from pipeline.evaluation.images import draw_judged, draw_suspects
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.outcome import ClassifierEvaluation, Suspected, prediction_rows, suspect_rows
from pipeline.evaluation.report import Cell
from pipeline.evaluation.workbook import safe_cell, write_workbook
from pipeline.plots import draw_training


def write_outcome(outcome: ClassifierEvaluation, folder: Path, *, check: Callable[[], None]) -> None:
    """metrics.json, predictions.csv, suspect_labels.{csv,json}, *.png, report.{html,xlsx}. `check` may raise."""
    metrics: dict[str, Any] = {
        split: _metrics(outcome, split) for split in dict.fromkeys((*HELD_OUT_SPLITS, *outcome.judged))
    }
    _write_json(folder / "metrics.json", metrics)
    _write_predictions(outcome, folder / "predictions.csv")
    if outcome.history:
        draw_training(outcome.history, folder / "training_curves.png", best_epoch=outcome.best_epoch or 1)
    for split, judged in outcome.judged.items():
        check()
        draw_judged(judged, metrics[split], outcome.openers[split], folder, split=split)
    if outcome.suspects:
        check()
        _write_suspects(outcome.suspects, outcome.classes, folder)
        draw_suspects(outcome.suspects, outcome.classes, folder / "suspect_labels.png")
    check()
    report = classification_report(outcome, metrics, folder)
    write_html(report, folder / "report.html")
    check()
    write_workbook(report, folder / "report.xlsx")


def _metrics(outcome: ClassifierEvaluation, split: str) -> dict[str, Any] | None:
    if split not in outcome.judged:
        return None
    speed = {"unit": "ms per image", **outcome.speeds.get(split, {})}
    return {**classification_metrics(outcome.judged[split]), "speed": speed}


def _write_predictions(outcome: ClassifierEvaluation, path: Path) -> None:
    header, rows = prediction_rows(outcome)
    _write_csv(path, header, rows)


def _write_suspects(suspected: Suspected, classes: Sequence[str], folder: Path) -> None:
    header, rows = suspect_rows(suspected, classes)
    _write_csv(folder / "suspect_labels.csv", header, rows)
    content = {
        "images": len(rows),
        "flagged": sum(one.flagged for one in suspected.ranked),
        "accuracy_of_the_judge": round(suspected.accuracy, 5),
        "features": suspected.features,
        "labels": [dict(zip((name.replace(" ", "_") for name in header), row, strict=True)) for row in rows],
    }
    _write_json(folder / "suspect_labels.json", content, indent=None)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file)
        written.writerow(header)
        written.writerows([safe_cell(cell) for cell in row] for row in rows)


def _write_json(path: Path, content: Any, *, indent: int | None = 1) -> None:
    text = json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
