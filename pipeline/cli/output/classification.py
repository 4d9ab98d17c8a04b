"""The most probable classes of an image, and the metrics of a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.cli.output.text_table import aligned, at_thresholds, lettered, number
from pipeline.dataset.predictions import PredictedLabel
from pipeline.plots.style import GRID, INK, MUTED, colour, shorten
from pipeline.plots.tiles import fitted

SIDE = 640  # px of the image's longer side
ROW, PAD = 34, 16
_NAME, _SCORE = 250, 64  # px: widths of the columns; the bar takes the rest


def draw(image: Image.Image, predictions: Sequence[PredictedLabel]) -> Image.Image:
    """The image, enlarged where it is small, with one bar per class below it."""
    large = fitted(image, SIDE)
    width = max(SIDE, large.width)
    sheet = Image.new("RGB", (width, large.height + 2 * PAD + ROW * len(predictions)), "white")
    sheet.paste(large, ((width - large.width) // 2, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(19)
    for place, one in enumerate(predictions):
        top = large.height + PAD + place * ROW
        left, right = PAD + _NAME, width - PAD - _SCORE
        unsure = place == 0 and not one.is_sure
        name = f"{shorten(one.label, 18)} (unsure)" if unsure else shorten(one.label, 26)
        pen.text((PAD, top + 4), name, font=font, fill=MUTED if place else INK)
        pen.rectangle((left, top + 6, right, top + ROW - 8), fill=GRID)
        end = left + round(one.score * (right - left))
        if end > left:
            pen.rectangle((left, top + 6, end, top + ROW - 8), fill=MUTED if place or unsure else colour(0))
        pen.text((right + 10, top + 4), f"{one.score:.2f}", font=font, fill=MUTED if place else INK)
    return sheet


def lines(predictions: Sequence[PredictedLabel]) -> list[str]:
    """The first says whether it is unsure; the others are never the answer."""
    rows = [f"{one.label} {one.score:.2f}" for one in predictions]
    if predictions and not predictions[0].is_sure:
        rows[0] += f"  unsure: not above {predictions[0].threshold:.2f}, the threshold of {predictions[0].label}"
    return rows


def as_json(predictions: Sequence[PredictedLabel]) -> dict[str, Any]:
    """Best first. `sure`: whether the first, which is the answer, is above the threshold of its class."""
    names = ("label", "class_index", "score", "threshold")
    rows = [{name: getattr(one, name) for name in names} for one in predictions]
    return {
        "sure": bool(predictions) and predictions[0].is_sure,
        "labels": [{**row, "score": round(row["score"], 5)} for row in rows],
    }


def table(metrics: Mapping[str, Any]) -> list[str]:
    """For each split: accuracy, metrics per class, confusion matrix."""
    lines = []
    for split, values in metrics.items():
        if not values or split == "thresholds":
            continue
        error = values["calibration"]["ece"]
        head = f"{split}: {values['images']} images, accuracy {number(values['accuracy'])}, "
        lines += [f"{head}F1 {number(values['f1'])}, calibration error {number(error)}", ""]
        rows = [
            [name, str(one["images"]), *(number(one[key]) for key in _NUMBERS)]
            for name, one in values["per_class"].items()
        ]
        lines += [*aligned([["class", "images", *_NUMBERS], *rows]), ""]
        lines += [*lettered(values["confusion_matrix"]), ""]
    return [*lines, *at_thresholds(metrics)]


_NUMBERS = ("precision", "recall", "f1")
