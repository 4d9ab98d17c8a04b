"""Images of more than 8 bits per channel, reduced to 8 by the range that their values have.

12-bit sensors are stored in 16 bits: their high byte alone ends at 15, which is black. So values are reduced from the
bit depth that nearly all of them need, rounded up to an even number (10, 12 and 14 bits are those of sensors): one hot
pixel of a sensor must not turn the images of a whole dataset black.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

MAX_BITS = 16
OUTLIERS = 0.001  # of the values of an image: so many may be beyond its depth, and become white
DARK, DARK_SHARE = 16, 0.99  # an image is nearly black where this share of its pixels is below 16 of 255

_PNG_BITS = 24  # the offset of the bits of a channel
_TIFF_BITS = 258  # the tag of the bits of each channel
_ROWS = 256  # converted at once: 64-bit numbers of all rows would have eight times the size of the image


def depth_of(image: Image.Image) -> int:
    """8, 10, 12, 14 or 16, of a decoded image of whole numbers up to 65535; 0 for one of another range or of 8 bits."""
    if not image.mode.startswith("I"):
        return 0
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    return depth_of_values(values) if low >= 0 and high < 1 << MAX_BITS else 0


def depth_of_values(values: npt.NDArray[np.integer[Any]], *, lost_bits: int = 0) -> int:
    """Of whole numbers from 0 on, of which the lowest `lost_bits` are missing."""
    bits = max(8, int(values.max()).bit_length() + lost_bits)
    bits += bits % 2
    while bits > 8 and np.count_nonzero(values >= 1 << (bits - 2 - lost_bits)) <= OUTLIERS * values.size:
        bits -= 2
    return bits


def has_sixteen_bits(image: Image.Image, content: bytes) -> bool:
    """In each channel of a PNG or TIFF."""
    if image.format == "PNG":
        return content[_PNG_BITS] == MAX_BITS
    return isinstance(image, TiffImageFile) and set(image.tag_v2.get(_TIFF_BITS, (8,))) == {MAX_BITS}


def in_eight_bits(image: Image.Image, bits: int = 0) -> Image.Image:
    """RGB, RGBA or grey, 8 bits per channel. `bits`: the depth of the values, else that of the image.

    Numbers of other ranges have no defined white: they are stretched between the smallest and the largest finite one.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if depth := depth_of(image):
            return Image.fromarray(shifted(values, bits or depth))
        return Image.fromarray(_stretched(values))
    return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")


def shifted(values: npt.NDArray[np.generic], bits: int) -> npt.NDArray[np.uint8]:
    """The 8 highest of `bits` bits; larger values are white."""
    reduced = np.empty(values.shape, np.uint8)
    for rows in _parts(len(values)):
        reduced[rows] = np.minimum(values[rows].astype(np.uint32) >> (bits - 8), 255)
    return reduced


def is_nearly_black(image: Image.Image) -> bool:
    """`image`: 8 bits per channel."""
    levels = image.convert("RGB").convert("L").histogram()
    return sum(levels[:DARK]) >= DARK_SHARE * sum(levels)


def _stretched(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """What is not finite becomes black."""
    low, high = np.inf, -np.inf
    for rows in _parts(len(values)):
        finite = values[rows].astype(np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    reduced = np.zeros(values.shape, np.uint8)
    for rows in _parts(len(values)):
        part = values[rows].astype(np.float64)
        finite = np.isfinite(part)
        reduced[rows][finite] = (part[finite] - low) * (255 / max(high - low, 1e-9))
    return reduced


def _parts(rows: int) -> Iterator[slice]:
    return (slice(at, at + _ROWS) for at in range(0, rows, _ROWS))
