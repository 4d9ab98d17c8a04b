"""An image with what was predicted drawn into it."""

import io
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from pipeline.predictor.images import decode
from pipeline.predictor.predictor import Prediction

QUALITY = 90
MAX_NAME = 32  # characters of a class's name
# Okabe and Ito, Color Universal Design, 2008: distinct for colour-blind people too. Without black and grey.
COLOURS = (
    *((0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0)),
    *((204, 121, 167), (86, 180, 233), (240, 228, 66)),
)
# Where the installation has them: for names that Pillow's own font cannot write.
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc")
_NOWHERE = "\uffff"  # what a font draws for a character that it lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Area = tuple[float, float, float, float]  # left, top, right, bottom


def annotated(content: bytes, prediction: Prediction) -> bytes:
    """A JPEG of the upright image, in its size. The label of a box is left out where better ones take its place.

    Raises ImageUnreadable.
    """
    image = Image.fromarray(decode(content).pixels)
    draw = ImageDraw.Draw(image)
    unit = max(image.width, image.height) / 640
    size, width = max(9.0, 14 * unit), max(1, round(2.5 * unit))
    for box in reversed(prediction.boxes):  # the best one on top
        draw.rectangle((box.x1, box.y1, box.x2, box.y2), outline=class_colour(box.class_index), width=width)
    taken: list[Area] = []
    for box in prediction.boxes:
        text, font = _written(box.label, box.class_index, box.score, size)
        corners = ((box.x1, box.y1, -1.0), (box.x1, box.y1, 0.0), (box.x1, box.y2, 0.0))  # above, within, below
        _label(draw, corners, text, class_colour(box.class_index), font, taken)
    for row, label in enumerate(prediction.labels):
        text, font = _written(label.label, label.class_index, label.score, size)
        _label(draw, ((0.0, row * (1.4 * size + 6), 0.0),), text, class_colour(label.class_index), font, taken)
    target = io.BytesIO()
    image.save(target, "JPEG", quality=QUALITY, subsampling=0)  # thin lines keep their colours
    return target.getvalue()


def class_colour(index: int) -> tuple[int, int, int]:
    """The same for a class in every image; every seventh class has the same one, and a name beside it."""
    return COLOURS[index % len(COLOURS)]


def _written(name: str, index: int, score: float, size: float) -> tuple[str, Font]:
    """`class 3` for a name that no font of the installation can write."""
    short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."
    font = _font_for(short, size)
    return (f"{short} {score:.2f}", font) if font else (f"class {index} {score:.2f}", ImageFont.load_default(size=size))


@lru_cache(maxsize=1024)
def _font_for(text: str, size: float) -> Font | None:
    for file in (None, *FONTS):
        try:
            font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size=size)
        except OSError:
            continue
        missing = bytes(font.getmask(_NOWHERE))
        if all(each.isspace() or bytes(font.getmask(each)) != missing for each in text):
            return font
    return None


def _label(
    draw: ImageDraw.ImageDraw,
    corners: Sequence[tuple[float, float, float]],
    text: str,
    colour: tuple[int, int, int],
    font: Font,
    taken: list[Area],
) -> None:
    """At the first corner where it lies in the image and on no other one. A corner: x, y, and its heights up."""
    image_width, image_height = draw.im.size
    _, _, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right + 6, bottom + 4
    for x, y, up in corners:
        left, top = max(0.0, min(x, image_width - width)), y + up * height
        area = (left, top, left + width, top + height)
        if top < 0 or area[3] > image_height + 1 or any(_overlap(area, other) for other in taken):
            continue
        taken.append(area)
        draw.rectangle(area, fill=colour)
        luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
        draw.text((left + 3, top + 1), text, fill="black" if luminance > 120 else "white", font=font)
        return


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
