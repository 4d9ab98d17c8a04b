"""A grid of images: ground truth and predictions side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.dataset.predictions import PredictedBox
from pipeline.plots.boxes import draw_boxes, open_upright, scaled
from pipeline.plots.tiles import fitted

SIDE = 300  # px of the longer side of an image in the grid
PAIRS_PER_ROW = 2
GAP = 10
HEAD = 26


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its labelled and its predicted boxes, in pixels of the upright image."""

    image: Path
    truth: tuple[PredictedBox, ...]
    predicted: tuple[PredictedBox, ...]


def draw_grid(samples: Sequence[Sample], path: Path) -> None:
    """Writes pairs of images to `path`, ground truth left and predictions right; nothing without samples."""
    if not samples:
        return
    ordered = sorted(samples, key=lambda sample: sample.image.name)
    pairs = [_pair(sample) for sample in ordered]
    columns = min(PAIRS_PER_ROW, len(pairs))
    rows = -(-len(pairs) // columns)
    width, height = 2 * SIDE + 4, SIDE
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, HEAD + rows * (height + GAP) + GAP), "white")
    _heads(sheet, columns, width)
    for index, pair in enumerate(pairs):
        row, column = divmod(index, columns)
        sheet.paste(pair, (GAP + column * (width + GAP), HEAD + row * (height + GAP)))
    sheet.save(path)


def _pair(sample: Sample) -> Image.Image:
    image = open_upright(sample.image)
    factor = SIDE / max(image.size)
    small = fitted(image, SIDE)
    sheet = Image.new("RGB", (2 * SIDE + 4, SIDE), "#f1f3f5")
    for half, (boxes, scores) in enumerate(((sample.truth, False), (sample.predicted, True))):
        drawn = draw_boxes(small, [scaled(box, factor) for box in boxes], scores=scores)
        sheet.paste(drawn, (half * (SIDE + 4) + (SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return sheet


def _heads(sheet: Image.Image, columns: int, width: int) -> None:
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for column in range(columns):
        left = GAP + column * (width + GAP)
        pen.text((left, 5), "ground truth", font=font, fill="#1f2933")
        pen.text((left + SIDE + 4, 5), "predicted", font=font, fill="#1f2933")
