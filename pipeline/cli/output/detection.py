"""Predicted boxes in an image, and the metrics of a detector."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from PIL import Image

from pipeline.cli.output.text_table import aligned, at_thresholds, lettered, number
from pipeline.dataset.predictions import PredictedBox
from pipeline.plots.boxes import draw_boxes, scaled

MIN_SIDE = 640  # px; a smaller image is enlarged, so that names are legible and cover little


def draw(image: Image.Image, predictions: Sequence[PredictedBox]) -> Image.Image:
    factor = max(1, MIN_SIDE // max(image.size))
    large = image.resize((image.width * factor, image.height * factor))
    return draw_boxes(large, [scaled(box, factor) for box in predictions])


def lines(predictions: Sequence[PredictedBox]) -> list[str]:
    rows = [
        f"{box.label} {box.score:.2f}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}" for box in predictions
    ]
    return [*rows, f"{len(predictions)} boxes"]


def as_json(predictions: Sequence[PredictedBox]) -> dict[str, Any]:
    """Corners in pixels of the upright image; they and scores are rounded to 4 digits."""
    rows = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(box).items()}
        for box in predictions
    ]
    return {"boxes": rows}


def table(metrics: Mapping[str, Any]) -> list[str]:
    """For each split: metrics of all classes, of each class, confusion matrix."""
    lines = []
    for split, values in metrics.items():
        if not values or split == "thresholds":
            continue
        whole = ["all", str(values["boxes"]), *(number(values[key]) for key in _NUMBERS)]
        rows = [
            [name, str(one["instances"]), *(number(one[key]) for key in _NUMBERS)]
            for name, one in values["per_class"].items()
        ]
        lines += [f"{split}: {values['images']} images", ""]
        lines += [*aligned([["class", "boxes", *_NUMBERS], whole, *rows]), ""]
        lines += [*lettered(values["confusion_matrix"]), ""]
    return [*lines, *at_thresholds(metrics)]


def _line(box: PredictedBox) -> str:
    return f"{box.label} {box.score:.2f}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}"


_NUMBERS = ("mAP50", "mAP50-95", "precision", "recall", "f1")
