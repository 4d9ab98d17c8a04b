"""Images in a grid, each with two lines of text below it: its label and the prediction of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.plots.style import INK, MUTED

SIDE, GAP, LINE = 190, 14, 19  # px: longer side of an image, space between images, height of a line of text
COLUMNS = 6
AGREES, DIFFERS = "#00704f", "#b44a00"  # both dark enough for small text on white


@dataclass(frozen=True, slots=True)
class Tile:
    """`second_agrees`: whether the second line agrees with the first and is coloured so; None for neither colour."""

    image: Image.Image
    first: str
    second: str
    second_agrees: bool | None = None


def draw_tiles(tiles: Sequence[Tile], path: Path) -> None:
    """Writes a PNG to `path`, or nothing without tiles."""
    if not tiles:
        return
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    tile_height = SIDE + 2 * LINE + 10
    sheet = Image.new("RGB", (columns * (SIDE + GAP) + GAP, rows * (tile_height + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = GAP + column * (SIDE + GAP), GAP + row * (tile_height + GAP)
        pen.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill="#f1f3f5")
        small = fitted(tile.image, SIDE)
        sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        shade = {None: MUTED, True: AGREES, False: DIFFERS}[tile.second_agrees]
        for line, (text, colour) in enumerate(((tile.first, INK), (tile.second, shade))):
            corner = (left, top + SIDE + 5 + line * LINE)
            pen.text(corner, _cut(text, pen, font, SIDE), font=font, fill=colour)
    sheet.save(path)


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Resized to fit a square of `side` px; small images are enlarged."""
    factor = side / max(image.size)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def _cut(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Shortened in the middle to fit `width` px: the end holds the number."""
    if pen.textlength(text, font=font) <= width:
        return text
    for kept in range(len(text) - 1, 8, -1):
        cut = f"{text[: kept - kept // 3]}…{text[-(kept // 3) :]}"
        if pen.textlength(cut, font=font) <= width:
            return cut
    return text[:8]
