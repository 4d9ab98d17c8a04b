"""A classifier on a split: its probabilities image by image, and its figures from them."""

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import interval_of_share
from pipeline.evaluation.class_match import ClassMatch
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.model_evaluation.models import MeasuredModel
from pipeline.model_evaluation.split_images import SplitImage
from pipeline.process.progress import StageReporter

FIGURES = ("accuracy", "f1", "precision", "recall")
MAIN = "accuracy"


def measure_classifier(
    model: MeasuredModel, images: Sequence[SplitImage], match: ClassMatch, target: Path, steps: StageReporter
) -> tuple[SplitPredictions, float]:
    """The predictions for the images of the classes that the model has, and the milliseconds of an image.

    Writes predictions.jsonl to `target`. The classes are the shared ones, and those that the dataset lacks and that
    are predicted of an image, which is wrong. Raises RunCancelled, ImageUnreadable.
    """
    rows, seconds = [], 0.0
    with target.open("w", encoding="utf-8") as file:
        for done, image in enumerate(images, start=1):
            started = perf_counter()
            rows.append(model.measured(image.content()))
            seconds += perf_counter() - started
            file.write(_line(image.path, rows[-1], model.classes))
            steps.tick(done, len(images))
    predictions = _predictions(images, np.asarray(rows, float), match, model.classes)
    return predictions, 1e3 * seconds / len(images)


def has_class(images: Sequence[SplitImage], match: ClassMatch) -> list[SplitImage]:
    """Those whose class the model has."""
    known = match.of_dataset()
    return [image for image in images if image.label is not None and known[image.label] >= 0]


def figures_of(predictions: SplitPredictions) -> dict[str, Any]:
    """FIGURES by name, how many `images`, and intervals."""
    found = classification_metrics(predictions)
    interval = interval_of_share(predictions.predicted == predictions.labels)
    return {
        "images": found["images"],
        **{name: found[name] for name in FIGURES},
        "intervals": {MAIN: interval.as_json()},
    }


def part_of(predictions: SplitPredictions, chosen: NDArray[np.bool_]) -> SplitPredictions:
    paths = tuple(path for path, kept in zip(predictions.paths, chosen, strict=True) if kept)
    return SplitPredictions(
        predictions.classes, paths, predictions.labels[chosen], np.asarray(predictions.probabilities[chosen])
    )


def _predictions(
    images: Sequence[SplitImage], rows: NDArray[np.float64], match: ClassMatch, model: Sequence[str]
) -> SplitPredictions:
    extra = {int(index) for index in np.unique(rows.argmax(axis=1))} - {theirs for _, theirs in match.pairs}
    columns = [*(theirs for _, theirs in match.pairs), *sorted(extra)]
    labels = match.of_dataset()[[image.label for image in images if image.label is not None]]
    return SplitPredictions(
        classes=(*match.shared, *(_distinct(model[index], match.dataset) for index in sorted(extra))),
        paths=tuple(image.path for image in images),
        labels=np.asarray(labels, int),
        probabilities=np.asarray(rows[:, columns]),
    )


def _distinct(name: str, taken: Sequence[str]) -> str:
    return f"{name} (of the model)" if name in taken else name


def _line(path: str, probabilities: NDArray[np.float32], classes: Sequence[str]) -> str:
    best = np.argsort(-probabilities, kind="stable")[:5]
    labels = [{"label": classes[index], "score": round(float(probabilities[index]), 5)} for index in best]
    return json.dumps({"path": path, "labels": labels}, ensure_ascii=False) + "\n"
