"""Boxes with names and scores on an image."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipeline.dataset.predictions import PredictedBox
from pipeline.plots.style import colour, shorten


def open_upright(path: Path) -> Image.Image:
    """As RGB, with the rotation of its EXIF applied: the pixels that boxes refer to."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def scaled(box: PredictedBox, factor: float) -> PredictedBox:
    """The same box on an image that is `factor` times as large."""
    corners = (value * factor for value in (box.x1, box.y1, box.x2, box.y2))
    return PredictedBox(box.label, box.class_index, box.score, *corners)


def draw_boxes(
    image: Image.Image, boxes: Sequence[PredictedBox], *, scores: bool = True, face: str | None = None
) -> Image.Image:
    """A copy of `image` with boxes on it; the one with the highest score is drawn last, on top. `face`: a font file."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    short = min(image.size)
    width = max(2, round(short / 250))
    font = _font(max(11, round(short / 38)), face)
    worst_first = sorted(boxes, key=lambda box: box.score)
    for box in worst_first:
        pen.rectangle((box.x1, box.y1, box.x2, box.y2), outline=colour(box.class_index), width=width)
    for box in worst_first:  # after all frames, so that none crosses a label
        text = f"{shorten(box.label)} {box.score:.2f}" if scores else shorten(box.label)
        _tag(pen, text, box, font=font, shade=colour(box.class_index), size=image.size)
    return drawn


def _tag(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: PredictedBox,
    *,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    shade: str,
    size: tuple[int, int],
) -> None:
    """The label on the box's upper edge, moved so that all of it is inside the image."""
    left, _, right, _ = pen.textbbox((0, 0), text, font=font)
    _, top, _, bottom = pen.textbbox((0, 0), "Ág", font=font)  # all tags have one height, whatever their text
    pad = max(1, round((bottom - top) * 0.1))
    wide, high = right - left + 6 * pad, bottom - top + 2 * pad
    x = max(0, min(box.x1, size[0] - wide))
    y = box.y1 - high if box.y1 >= high else min(box.y1, size[1] - high)
    pen.rectangle((x, y, x + wide, y + high), fill=shade)
    pen.text((x + 3 * pad - left, y + pad - top), text, font=font, fill="white")


def _font(size: int, face: str | None) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(face, size) if face else ImageFont.load_default(size)
