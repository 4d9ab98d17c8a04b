"""Images in a grid, each with two lines below it: what its label says and what a model says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.plots.style import INK, MUTED

SIDE, GAP, LINE = 190, 14, 19  # px of an image's longer side, between two, of a line of text
COLUMNS = 6
RIGHT, WRONG = "#00704f", "#b44a00"  # both dark enough for small text on white


@dataclass(frozen=True, slots=True)
class Tile:
    """`second_right`: whether the second line agrees with the first; None where that is not the question."""

    image: Image.Image
    first: str
    second: str
    second_right: bool | None = None


def draw_tiles(tiles: Sequence[Tile], path: Path) -> None:
    """Nothing is written without tiles."""
    if not tiles:
        return
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    high = SIDE + 2 * LINE + 10
    sheet = Image.new("RGB", (columns * (SIDE + GAP) + GAP, rows * (high + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = GAP + column * (SIDE + GAP), GAP + row * (high + GAP)
        pen.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill="#f1f3f5")
        small = fitted(tile.image, SIDE)
        sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        shade = {None: MUTED, True: RIGHT, False: WRONG}[tile.second_right]
        for line, (text, colour) in enumerate(((tile.first, INK), (tile.second, shade))):
            place = (left, top + SIDE + 5 + line * LINE)
            pen.text(place, _cut(text, pen, font, SIDE), font=font, fill=colour)
    sheet.save(path)


def fitted(image: Image.Image, side: int) -> Image.Image:
    """As large as goes into a square of `side` px; small images are enlarged."""
    factor = side / max(image.size)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def _cut(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, wide: int) -> str:
    """The end is what tells (a score): what is too long loses its middle."""
    if pen.textlength(text, font=font) <= wide:
        return text
    for kept in range(len(text) - 1, 8, -1):
        cut = f"{text[: kept - kept // 3]}…{text[-(kept // 3) :]}"
        if pen.textlength(cut, font=font) <= wide:
            return cut
    return text[:8]
