"""Bytes of an image file to upright RGB pixels."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM")
MAX_PIXELS = 178_956_970  # a decoded image of this size takes 512 MiB
_ORIENTATION_TAG = 0x0112
_ROTATED = (5, 6, 7, 8)  # orientations that exchange width and height

Pixels = NDArray[np.uint8]
SizeOf = Callable[[int, int], tuple[int, int]]  # width and height of an upright image -> those that serve


class ImageUnreadable(ValueError):
    """The bytes are no image that can be decoded; the message says why."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`pixels`: (height, width, 3) RGB, upright; of a JPEG perhaps smaller than the image, by a half, a quarter or an
    eighth. `width`, `height`: of the whole upright image."""

    pixels: Pixels
    width: int
    height: int
    orientation: int


def decode(content: bytes, *, at_least: SizeOf | None = None) -> DecodedImage:
    """`at_least`: a JPEG may be decoded at a smaller scale, but to no less than it says.

    Raises ImageUnreadable.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            return _upright(image, at_least)
    except ImageUnreadable:
        raise
    except MemoryError as error:
        raise ImageUnreadable("Decoding the image takes too much memory.") from error
    except Exception as error:  # decoders raise anything for hostile bytes, and all of it means unreadable
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageUnreadable(f"The image cannot be decoded: {reason}") from error


def _upright(image: Image.Image, at_least: SizeOf | None) -> DecodedImage:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageUnreadable(f"The image has {width} x {height} pixels; at most {MAX_PIXELS} are accepted.")
    orientation = _orientation(image)
    rotated = orientation in _ROTATED
    if at_least and image.format == "JPEG":
        size = at_least(height, width)[::-1] if rotated else at_least(width, height)
        image.draft(None, size)
    image.load()
    upright: Any = ImageOps.exif_transpose(image) if orientation != 1 else image
    pixels = np.asarray(_eight_bits(upright).convert("RGB"))
    return DecodedImage(pixels, *((height, width) if rotated else (width, height)), orientation)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - broken EXIF does not make the pixels unusable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow clips values of more than 8 bits instead of scaling them."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    top = 255 if values.max(initial=0) < 256 else 65535
    return Image.fromarray((np.clip(values, 0, top) * (255 / top)).round().astype(np.uint8))
