"""A large image as overlapping tiles, and the boxes of all of them as those of the image.

Small objects are lost where a large image is reduced to the input of a model. Beside the tiles the image goes through
the model as a whole, so that what is larger than a tile has one box.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.predictor.images import DecodedImage, ImageUnreadable
from pipeline.predictor.metadata import Preprocessing
from pipeline.predictor.postprocess import Rows

MAX_TILES = 400  # of an image: some seconds on one core
MAX_BATCH, BATCH_PIXELS = 16, 16 * 640 * 640  # of the inputs of a run: 75 MiB
MAX_CANDIDATES, MAX_BOXES = 30_000, 3000  # of an image: at worst they are merged in a second
# Measured on drawn scenes, see docs/decisions/0048-tiles.md.
EDGE = 0.02  # of a tile's side: a box that ends so near to an edge of it may be a part of an object
PART = 0.5  # a part goes with a better box that has more than this share of the smaller of both
ACROSS = 0.5  # IoU: two boxes of an object from different parts differ by more than two of the same


@dataclass(frozen=True, slots=True)
class Tile:
    """In pixels of the upright image; `right` and `bottom` are not part of it."""

    left: int
    top: int
    right: int
    bottom: int


def parts_of(width: int, height: int, *, tile: int, overlap: float, wanted: Preprocessing) -> list[list[Tile]]:
    """The image as a whole, and its tiles in batches that fit into memory. Empty where one tile has all of it.

    Raises ImageUnreadable where the tiles are too many.
    """
    tiles = tiles_of(width, height, tile=tile, overlap=overlap)
    if len(tiles) == 1:
        return []
    size = max(1, min(MAX_BATCH, BATCH_PIXELS // (wanted.width * wanted.height)))
    return [[Tile(0, 0, width, height)], *(tiles[start : start + size] for start in range(0, len(tiles), size))]


def count_parts(width: int, height: int, *, tile: int, overlap: float) -> int:
    """How many images the model computes for one that is predicted by tiles; 0 where they are too many, and none is."""
    count = _count(width, tile, overlap) * _count(height, tile, overlap)
    if count > MAX_TILES:
        return 0
    return 1 if count == 1 else 1 + count


def tiles_of(width: int, height: int, *, tile: int, overlap: float) -> list[Tile]:
    """Row by row, all of one size: at most `tile` px square, and at least `overlap` of it shared by neighbours.

    Raises ImageUnreadable where they are too many.
    """
    count = _count(width, tile, overlap) * _count(height, tile, overlap)
    if count > MAX_TILES:
        raise ImageUnreadable(
            f"The image of {width} x {height} pixels has {count} tiles of {tile} px with an overlap "
            f"of {overlap:g}; at most {MAX_TILES} are predicted. Ask for larger tiles or less overlap."
        )
    lefts, tops = _starts(width, tile, overlap), _starts(height, tile, overlap)
    return [Tile(left, top, left + min(tile, width), top + min(tile, height)) for top in tops for left in lefts]


def part_of(image: DecodedImage, tile: Tile) -> DecodedImage:
    """The pixels of a tile, as an image of their own."""
    pixels = np.ascontiguousarray(image.pixels[tile.top : tile.bottom, tile.left : tile.right])
    return DecodedImage(pixels, tile.right - tile.left, tile.bottom - tile.top, orientation=1)


def merged(parts: list[tuple[Tile, Rows]], size: tuple[int, int], *, iou: float) -> Rows:
    """(N, 6): x1, y1, x2, y2 in pixels of the image, score, class; best first.

    `parts`: the boxes of each, in pixels of the part. `size`: width and height of the image. Boxes of one part were
    suppressed together, and stay beside each other. Of two of different parts and of one class the lower one goes when
    their IoU is above ACROSS, or `iou` where that is less. A box that a tile cut ranks below all that none cut, and
    goes when it lies in one of them, whatever the classes: a part of a disc looks like a box.
    """
    rows = np.concatenate([_in_image(tile, found) for tile, found in parts])
    cut = np.concatenate([_is_cut(tile, found, size) for tile, found in parts])
    part = np.concatenate([np.full(len(found), index) for index, (_, found) in enumerate(parts)])
    order = np.lexsort((-rows[:, 4], cut))[:MAX_CANDIDATES]
    rows, cut, part = rows[order], cut[order], part[order]
    kept = rows[_kept(rows, cut, part, min(iou, ACROSS))]
    return kept[np.argsort(-kept[:, 4], kind="stable")]


def _count(length: int, tile: int, overlap: float) -> int:
    """Of tiles along a side."""
    return 1 if tile >= length else math.ceil((length - tile) / max(1, math.floor(tile * (1 - overlap)))) + 1


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    """The last tile ends with the image; the others stand evenly before it."""
    count = _count(length, tile, overlap)
    if count == 1:
        return [0]
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def _in_image(tile: Tile, rows: Rows) -> Rows:
    return rows + np.array([tile.left, tile.top, tile.left, tile.top, 0, 0], np.float32)


def _is_cut(tile: Tile, rows: Rows, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes end at an edge of the tile that is none of the image."""
    width, height = tile.right - tile.left, tile.bottom - tile.top
    x, y = EDGE * width, EDGE * height
    return np.asarray(
        ((rows[:, 0] < x) & (tile.left > 0))
        | ((rows[:, 1] < y) & (tile.top > 0))
        | ((rows[:, 2] > width - x) & (tile.right < size[0]))
        | ((rows[:, 3] > height - y) & (tile.bottom < size[1]))
    )


def _kept(rows: Rows, cut: NDArray[np.bool_], part: NDArray[np.intp], iou: float) -> list[int]:
    """Greedy suppression in the order of the rows."""
    x1, y1, x2, y2, _, classes = rows.T
    areas = (x2 - x1) * (y2 - y1)
    left = np.arange(len(rows))
    kept: list[int] = []
    while len(left) and len(kept) < MAX_BOXES:
        best, left = left[0], left[1:]
        kept.append(int(best))
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        of_class = classes[left] == classes[best]
        same = of_class & (shared > iou * (areas[best] + areas[left] - shared))
        inside = (of_class | ~cut[best]) & cut[left] & (shared > PART * np.minimum(areas[best], areas[left]))
        left = left[~((same | inside) & (part[left] != part[best]))]
    return kept
