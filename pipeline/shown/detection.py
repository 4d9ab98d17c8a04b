"""Boxes in a picture."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from PIL import Image

from pipeline.plots.boxes import draw_boxes, scaled
from pipeline.trainers import Box

SHOWN_SIDE = 640  # px; a smaller picture is shown enlarged, so that names can be read and hide nothing


def draw(image: Image.Image, found: Sequence[Box]) -> Image.Image:
    factor = max(1, SHOWN_SIDE // max(image.size))
    large = image.resize((image.width * factor, image.height * factor))
    return draw_boxes(large, [scaled(box, factor) for box in found])


def lines(found: Sequence[Box]) -> list[str]:
    rows = [f"{box.label} {box.score:.2f}  {box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}" for box in found]
    return [*rows, f"{len(found)} found"]


def as_json(found: Sequence[Box]) -> dict[str, Any]:
    """Scores to 4 digits, corners to as many of a pixel of the upright picture."""
    rows = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(box).items()}
        for box in found
    ]
    return {"boxes": rows}
