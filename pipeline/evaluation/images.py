"""The images of the evaluation of a classifier."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.evaluation.matched_predictions import CONFIDENCES, f1_by_confidence, matched_labels
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.plots.confusion import draw_confusion
from pipeline.plots.f1_curves import draw_f1_curves
from pipeline.plots.reliability import draw_reliability
from pipeline.plots.tiles import Tile, draw_tiles

if TYPE_CHECKING:
    from pipeline.evaluation.classifier_evaluation import LabelErrorSearch

TILES = 24  # four rows of six


def draw_predictions(
    predictions: SplitPredictions,
    metrics: Mapping[str, Any],
    thresholds: Mapping[str, float],
    open_image: Callable[[int], Image.Image],
    folder: Path,
    *,
    split: str,
) -> None:
    """`{split}_confusion_matrix.png`, `..._normalized.png`, `{split}_reliability.png`, `{split}_f1_by_confidence.png`,
    `{split}_worst.png`. `thresholds`: by class."""
    confusion = metrics["confusion_matrix"]
    for normalized, name in ((False, "confusion_matrix"), (True, "confusion_matrix_normalized")):
        draw_confusion(confusion, folder / f"{split}_{name}.png", split=split, normalized=normalized, unit="images")
    draw_reliability(metrics["calibration"], folder / f"{split}_reliability.png", split=split)
    matched = matched_labels(predictions)
    curves = dict(zip(predictions.classes, f1_by_confidence(matched), strict=True))
    present = {name: curves[name] for name, wanted in zip(curves, matched.wanted, strict=True) if wanted}
    draw_f1_curves(CONFIDENCES, present, thresholds, folder / f"{split}_f1_by_confidence.png", split=split)
    draw_tiles([_tile(predictions, index, open_image) for index in worst(predictions)], folder / f"{split}_worst.png")


def worst(predictions: SplitPredictions) -> list[int]:
    """Indices of the images whose labels have the lowest probabilities, lowest first."""
    return [int(index) for index in np.argsort(predictions.label_probabilities, kind="stable")[:TILES]]


def draw_suspect_labels(search: "LabelErrorSearch", classes: Sequence[str], path: Path) -> None:
    """The most suspect images, with label and suggestion below each."""
    tiles = []
    for one in search.ranked[:TILES]:
        reference = search.images[one.index]
        image = search.openers[reference.split](reference.index)
        tiles.append(
            Tile(
                image,
                f"label {classes[one.label]} ({one.label_probability:.2f})",
                f"suggested {classes[one.suggested]} ({one.suggested_probability:.2f})",
                second_agrees=False if one.flagged else None,
            )
        )
    draw_tiles(tiles, path)


def _tile(predictions: SplitPredictions, index: int, open_image: Callable[[int], Image.Image]) -> Tile:
    label, predicted = int(predictions.labels[index]), int(predictions.predicted[index])
    probabilities = predictions.probabilities[index]
    return Tile(
        open_image(index),
        f"truth {predictions.classes[label]} ({probabilities[label]:.2f})",
        f"predicted {predictions.classes[predicted]} ({probabilities[predicted]:.2f})",
        second_agrees=label == predicted,
    )
