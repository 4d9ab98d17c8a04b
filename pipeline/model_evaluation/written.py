"""The files of an evaluation: metrics, predictions, images, the report. Both kinds, as after a training."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.box_confusion import detection_curves
from pipeline.evaluation.class_match import ClassMatch
from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation
from pipeline.evaluation.detection_report import write_detection_report
from pipeline.evaluation.report import Cell, Section
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.evaluation.thresholds import Thresholds, with_thresholds
from pipeline.json_file import write_json
from pipeline.model_evaluation.detection import (
    MeasuredBoxes,
    draw_sample,
    errors_of_images,
    matched,
    split_metrics,
)
from pipeline.model_evaluation.models import MeasuredModel
from pipeline.model_evaluation.split_images import SplitImage
from pipeline.plots import draw_split
from pipeline.plots.grid import draw_grid
from pipeline.process.progress import StageReporter

SAMPLES = 12  # images in each grid


@dataclass(frozen=True, slots=True)
class Written:
    """What an evaluation is written from. `thresholds`: by the dataset's names of the classes. `first`: sections."""

    folder: Path
    split: str
    title: str
    facts: Mapping[str, Cell]
    match: ClassMatch
    thresholds: Thresholds
    first: Sequence[Section]


def write_detector(
    written: Written,
    measured: MeasuredBoxes,
    model: MeasuredModel,
    images: Sequence[SplitImage],
    steps: StageReporter,
) -> dict[str, Any]:
    """metrics.json, curves.json, images, report.{html,xlsx}. Returns the metrics of the split. Raises RunCancelled."""
    folder, split, match = written.folder, written.split, written.match
    splits = dict.fromkeys((*HELD_OUT_SPLITS, split))
    metrics = with_thresholds(
        {each: split_metrics(measured, match.shared) if each == split else None for each in splits},
        {split: matched(measured.boxes)},
        written.thresholds,
    )
    curves = detection_curves(measured.boxes, match.shared)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "curves.json", {each: curves if each == split else None for each in splits}, indent=None)
    errors = errors_of_images(measured.boxes, written.thresholds.of(match.shared))
    worst = [int(place) for place in np.argsort(-errors, kind="stable")[:SAMPLES] if errors[place]]
    spread = np.unique(np.linspace(0, len(images) - 1, SAMPLES).astype(int))
    samples = {}
    for place in {*worst, *map(int, spread)}:
        steps.raise_if_cancelled()
        samples[place] = draw_sample(model, images[place], match, written.thresholds)
    draw_grid([samples[place] for place in worst], folder / f"{split}_worst.png")
    drawn: dict[str, Any] = {"curves": curves, "thresholds": written.thresholds.classes}
    draw_split(folder, split, metrics=metrics[split], samples=[samples[int(place)] for place in spread], **drawn)
    steps.raise_if_cancelled()
    write_detection_report(folder, title=written.title, facts=written.facts, metrics=metrics, first=written.first)
    found: dict[str, Any] = metrics[split]
    return found


def write_classifier(
    written: Written,
    predictions: SplitPredictions,
    milliseconds: float,
    images: Sequence[SplitImage],
    steps: StageReporter,
) -> dict[str, Any]:
    """metrics.json, predictions.csv, images, report.{html,xlsx}. Returns the metrics of the split."""
    evaluation = ClassifierEvaluation(
        title=written.title,
        facts=written.facts,
        classes=predictions.classes,
        predictions={written.split: predictions},
        speeds={written.split: {"whole": round(milliseconds, 3)}},
        openers={written.split: lambda place: _opened(images[place])},
        history=(),
        best_epoch=None,
        label_errors=None,
        thresholds=written.thresholds,
        first=written.first,
    )
    write_evaluation(evaluation, written.folder, raise_if_cancelled=steps.raise_if_cancelled)
    metrics: dict[str, Any] = json.loads((written.folder / "metrics.json").read_text(encoding="utf-8"))[written.split]
    return metrics


def _opened(image: SplitImage) -> Image.Image:
    with Image.open(io.BytesIO(image.content())) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")
