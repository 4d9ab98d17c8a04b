"""An annotated thumbnail: an image with its boxes and class names, or its class, above a caption."""

import hashlib
import io
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from pipeline.archive.byte_range import ByteRange
from pipeline.dataset.predictions import PredictedBox
from pipeline.decode.image import DECODER, open_upright
from pipeline.plots.boxes import draw_boxes, scaled
from pipeline.plots.style import shorten

WIDTH, HEIGHT, CAPTION = 400, 300, 24  # px: the image's frame, and the line below it
BACKGROUND, INK, MUTED = "#eef1f4", "#1f2933", "#7b8794"
_BADGES = {"train": "#52606d", "val": "#0072b2", "test": "#d55e00"}
_QUALITY = 88
_DRAWN = "1"  # another one for every change of what is drawn: thumbnails are reused by their keys
_KEY_DIGITS = 32


class Thumbnail(NamedTuple):
    """`boxes` in pixels of the upright image; `face` is a font file, None for Pillow's own.

    `label`: the class of the whole image, None where its boxes have the classes.
    """

    byte_range: ByteRange
    name: str
    split: str
    size: tuple[int, int]
    boxes: tuple[PredictedBox, ...]
    face: str | None
    label: str | None = None


def thumbnail_key(thumbnail: Thumbnail, sha256: str) -> str:
    """Of what is drawn: equal keys have equal thumbnails. `sha256`: of the image's file."""
    drawn = (_DRAWN, DECODER, sha256, *thumbnail[1:])
    return hashlib.sha256(repr(drawn).encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


def draw_thumbnail(thumbnail: Thumbnail) -> bytes:
    """A JPEG of WIDTH x (HEIGHT + CAPTION) pixels; small images are enlarged."""
    width, height = thumbnail.size
    factor = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = open_upright(thumbnail.byte_range.read(), at_least=size).resize(size, Image.Resampling.LANCZOS)
    boxes = [scaled(box, factor) for box in thumbnail.boxes]
    drawn = draw_boxes(image, boxes, scores=False, face=thumbnail.face)
    cell = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), "white")
    cell.paste(BACKGROUND, (0, 0, WIDTH, HEIGHT))
    cell.paste(drawn, ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    _caption(cell, thumbnail)
    out = io.BytesIO()
    cell.save(out, "JPEG", quality=_QUALITY, subsampling=0)  # boxes are thin coloured lines
    return out.getvalue()


def _caption(cell: Image.Image, thumbnail: Thumbnail) -> None:
    pen = ImageDraw.Draw(cell)
    font = _font(thumbnail.face, 12)
    middle = HEIGHT + CAPTION // 2 + 1
    right = 1 + pen.textlength(thumbnail.split, font=font) + 12
    pen.rounded_rectangle((1, HEIGHT + 4, right, HEIGHT + CAPTION - 2), radius=4, fill=_BADGES[thumbnail.split])
    pen.text((7, middle), thumbnail.split, font=font, fill="white", anchor="lm")
    if thumbnail.label is not None:  # the class is what an image is checked for, so it comes first
        pen.text((WIDTH - 2, middle), shorten(thumbnail.name, 22), font=font, fill=MUTED, anchor="rm")
        pen.text((right + 7, middle), shorten(thumbnail.label, 26), font=font, fill=INK, anchor="lm")
        return
    count = len(thumbnail.boxes)
    boxes = f"{count} box{'es' if count != 1 else ''}" if count else "background"
    pen.text((WIDTH - 2, middle), boxes, font=font, fill=MUTED, anchor="rm")
    pen.text((right + 7, middle), shorten(thumbnail.name, 36), font=font, fill=INK, anchor="lm")


def _font(face: str | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(face, size) if face else ImageFont.load_default(size)
