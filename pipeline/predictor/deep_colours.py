"""Colour images of 16 bits a channel, of which Pillow keeps the high byte alone: black, where sensors have 12 bits."""

import io
import sys
from typing import Any

import numpy as np
from PIL import Image

from pipeline.decode.eight_bits import MAX_BITS, depth_of_values, has_sixteen_bits, shifted

FORMATS = ("PNG", "TIFF")
# Read in the other order of bytes, the high byte of a value is its low one.
_EXCHANGED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def shallow_colours(image: Image.Image, content: bytes) -> Image.Image:
    """`image` itself, or its 8 highest bits of those that its values need, as prepared datasets have them."""
    if not has_sixteen_bits(image, content):
        return image
    high = np.asarray(image)
    bits = depth_of_values(np.asarray(image.convert("RGB")), lost_bits=8)
    if bits == MAX_BITS:
        return image
    with Image.open(io.BytesIO(content), formats=FORMATS) as other:
        other.tile = [tile._replace(args=_exchanged(tile.args)) for tile in other.tile]
        low = np.asarray(other)
    return Image.fromarray(shifted(high.astype(np.uint16) << 8 | low, bits), image.mode)


def _exchanged(args: Any) -> Any:
    """`args` of a decoder: the arrangement of the bytes, such as "RGB;16B", alone or first."""
    if isinstance(args, tuple):
        return (_exchanged(args[0]), *args[1:])
    mode, _, order = str(args).partition(";")
    return f"{mode};{_EXCHANGED[order]}"
