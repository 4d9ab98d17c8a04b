"""An image with what was predicted drawn into it."""

import colorsys
import io

from PIL import Image, ImageDraw, ImageFont

from pipeline.predictor.images import decode
from pipeline.predictor.predictor import Prediction

QUALITY = 90
_GOLDEN = 0.618034  # of the circle of hues: colours of any number of classes stay distinct


def annotated(content: bytes, prediction: Prediction) -> bytes:
    """A JPEG of the upright image, in its size. Raises ImageUnreadable."""
    image = Image.fromarray(decode(content).pixels)
    draw = ImageDraw.Draw(image)
    unit = max(image.width, image.height) / 640
    font = ImageFont.load_default(size=max(12.0, 14 * unit))
    width = max(2, round(2.5 * unit))
    for box in reversed(prediction.boxes):  # the best one on top
        colour = class_colour(box.class_index)
        draw.rectangle((box.x1, box.y1, box.x2, box.y2), outline=colour, width=width)
        _label(draw, (box.x1, box.y1), f"{box.label} {box.score:.2f}", colour, font)
    top = 0.0
    for label in prediction.labels:
        height = _label(draw, (0, top), f"{label.label} {label.score:.2f}", class_colour(label.class_index), font)
        top += height
    target = io.BytesIO()
    image.save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


def class_colour(index: int) -> tuple[int, int, int]:
    """The same for a class in every image."""
    red, green, blue = colorsys.hls_to_rgb((0.58 + index * _GOLDEN) % 1.0, 0.42, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def _label(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> float:
    """Above the corner, or inside where there is no room above. Returns its height."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    height, width, space = bottom + top, right + left, 4
    y = corner[1] - height - space
    y = corner[1] if y < 0 else y
    x = min(corner[0], max(draw.im.size[0] - width - 2 * space, 0))
    draw.rectangle((x, y, x + width + 2 * space, y + height + space), fill=colour)
    draw.text((x + space, y + space / 2), text, fill="white", font=font)
    return height + space
