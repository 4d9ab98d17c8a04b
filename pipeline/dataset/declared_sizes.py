"""Declared sizes that are the size of the image times a factor: on which of both were the boxes drawn?"""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.dataset.boxes import EDGE_TOLERANCE
from pipeline.dataset.model import Item, RawBox
from pipeline.decode.image_facts import ImageFacts

_SAME = 0.01  # of a factor: an aspect ratio after rounding, or a size that is off by a pixel or two


class Drawn(NamedTuple):
    """What images prove whose boxes fit one of both sizes only. One is enough: the boxes of others may fit both by
    chance, and those of enlarged images always do."""

    on_declared: bool
    on_image: bool

    @property
    def is_unproved(self) -> bool:
        return not self.on_declared and not self.on_image


def where_drawn(items: Iterable[tuple[Item, ImageFacts]]) -> Drawn:
    on_declared = on_image = False
    for item, fact in items:
        if item.size is None or not is_of_another_scale(item, fact):
            continue
        fits_declared, fits_image = fit(item.boxes, *item.size), fit(item.boxes, *fact.upright)
        on_declared |= fits_declared and not fits_image
        on_image |= fits_image and not fits_declared
    return Drawn(on_declared, on_image)


def is_of_another_scale(item: Item, fact: ImageFacts) -> bool:
    """Whether it has boxes, and a declared size of the same aspect ratio, within a pixel of rounding or 1 %."""
    size, (width, height) = item.size, fact.upright
    if size is None or size == fact.upright or fact.orientation != 1 or min(*size, width, height) <= 0:
        return False
    differ = abs(size[0] * height - size[1] * width)
    same_shape = differ <= max(*size, _SAME * size[0] * height)
    return same_shape and item.coordinates != "fractions" and bool(item.boxes)


def doubtful_factor(item: Item, fact: ImageFacts) -> float | None:
    """Declared size / size of the image, where the boxes may have been drawn on the declared one; None for about 1."""
    if item.size is None or not is_of_another_scale(item, fact) or not fit(item.boxes, *item.size):
        return None
    factor = item.size[0] / fact.upright[0]
    return factor if abs(factor - 1) > _SAME and abs(item.size[0] - fact.upright[0]) > 1 else None


def fit(boxes: tuple[RawBox, ...], width: int, height: int) -> bool:
    """Whether no box reaches beyond the right or the lower edge by more than a pixel."""
    return all(
        max(box.x1, box.x2) <= width * 1000 + EDGE_TOLERANCE and max(box.y1, box.y2) <= height * 1000 + EDGE_TOLERANCE
        for box in boxes
    )
