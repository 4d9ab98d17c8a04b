"""How bright and how blurred an image is, measured on what its inspection decodes."""

from typing import NamedTuple

import numpy as np
from PIL import Image

_REDUCED = 8  # as the inspection of JPEGs decodes them
_LEAST_SIDE = 32
_USUAL_BORDER = 100.0


class Quality(NamedTuple):
    """Both from 0 to 1: `brightness` from black to white, `blur` from sharp to without any edge."""

    brightness: float
    blur: float


def quality_of(image: Image.Image) -> Quality:
    """Of a decoded image of at least 3 x 3 pixels, at about an eighth of its size, at which JPEGs are inspected:
    softness of a few pixels of a large image is not seen.

    Brightness is the mean of ITU-R 601 luma. Blur is 1 / (1 + v / 100), where v is the variance of the Laplacian
    (4 neighbours) of the luma from 0 to 255: the focus measure of Pech-Pacheco et al., "Diatom autofocusing in
    brightfield microscopy: a comparative study" (ICPR 2000). 100 is the border in common use, at which blur is 0.5.
    """
    grey = np.asarray(_reduced(image).convert("L"), dtype=np.int16)
    high, wide = grey.shape
    row = np.ascontiguousarray(grey).ravel()  # one long row: twice as fast, and wrong only in the first and last column
    edges = row[: -2 * wide] + row[2 * wide :]
    edges += row[wide - 1 : -wide - 1]
    edges += row[wide + 1 : (1 - wide) or None]
    edges -= row[wide:-wide] << 2
    values = edges.reshape(high - 2, wide)[:, 1:-1].astype(np.float32).ravel()
    mean = float(values.sum()) / values.size
    variance = float(values @ values) / values.size - mean * mean
    brightness = float(row.sum()) / row.size / 255
    return Quality(round(brightness, 4), round(1 / (1 + max(0.0, variance) / _USUAL_BORDER), 4))


def _reduced(image: Image.Image) -> Image.Image:
    """By 8, or less where a side would have fewer than 32 pixels; JPEGs are decoded so."""
    if image.format == "JPEG" or min(image.size) < 2 * _LEAST_SIDE:
        return image
    factor = min(_REDUCED, min(image.size) // _LEAST_SIDE)
    plain = image.convert("RGB") if image.mode in ("P", "PA", "1") else image
    return plain.reduce(factor)
