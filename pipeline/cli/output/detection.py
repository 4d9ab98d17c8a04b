"""Boxes in an image, and how good they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from PIL import Image

from pipeline.cli.output.text_table import aligned, lettered, number
from pipeline.dataset.predictions import PredictedBox
from pipeline.plots.boxes import draw_boxes, scaled

SHOWN_SIDE = 640  # px; a smaller image is shown enlarged, so that names can be read and hide nothing


def draw(image: Image.Image, found: Sequence[PredictedBox]) -> Image.Image:
    factor = max(1, SHOWN_SIDE // max(image.size))
    large = image.resize((image.width * factor, image.height * factor))
    return draw_boxes(large, [scaled(box, factor) for box in found])


def lines(found: Sequence[PredictedBox]) -> list[str]:
    rows = [f"{box.label} {box.score:.2f}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}" for box in found]
    return [*rows, f"{len(found)} found"]


def as_json(found: Sequence[PredictedBox]) -> dict[str, Any]:
    """Scores to 4 digits, corners to as many of a pixel of the upright image."""
    rows = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(box).items()}
        for box in found
    ]
    return {"boxes": rows}


def table(metrics: Mapping[str, Any]) -> list[str]:
    """Each split: all classes, each class, confusion matrix."""
    lines = []
    for split, values in metrics.items():
        if not values:
            continue
        whole = ["all", str(values["boxes"]), *(number(values[key]) for key in _NUMBERS)]
        rows = [
            [name, str(one["instances"]), *(number(one[key]) for key in _NUMBERS)]
            for name, one in values["per_class"].items()
        ]
        lines += [f"{split}: {values['images']} images", ""]
        lines += [*aligned([["class", "boxes", *_NUMBERS], whole, *rows]), ""]
        lines += [*lettered(values["confusion_matrix"]), ""]
    return lines


_NUMBERS = ("mAP50", "mAP50-95", "precision", "recall", "f1")
