"""Bytes of an image file to upright RGB pixels: those that trainers read from a prepared dataset."""

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.decode import first_bytes, jpeg_structure, png_structure
from pipeline.decode.eight_bits import in_eight_bits
from pipeline.decode.exif import orientation_of
from pipeline.predictor.deep_colours import shallow_colours

cv2: Any = None
with suppress(ImportError):  # decodes a large JPEG in half the time, to the same pixels
    import cv2

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM")
MAX_PIXELS = 178_956_970  # 512 MiB as RGB; larger ones Pillow refuses itself
MAX_SCANS = 100  # of a JPEG; progressive ones have ten. One of 200 bytes may take 0.1 s
_SCAN = b"\xff\xda"
_ROTATED = (5, 6, 7, 8)  # orientations that exchange width and height
# Orientation -> whether rows become columns, and the axes that are reversed then.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}

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


def size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height as they are stored, from the head alone. None where it cannot be read."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.size
    except Exception:  # noqa: BLE001 - as for `decode`, which says what is wrong
        return None


def ignore_warnings() -> None:
    """Those of Pillow, about odd tags and large images. For the whole process: a context for each image is not safe
    for threads, and Python keeps each distinct text that it shows, which hostile images make up."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(content: bytes, *, at_least: SizeOf | None = None) -> DecodedImage:
    """The first frame, without its transparency. Sizes are checked before a pixel is decoded.

    `at_least`: a JPEG may be decoded at a smaller scale, but to no less than it says. Raises ImageUnreadable.
    """
    try:
        return _decoded(content, at_least)
    except ImageUnreadable:
        raise
    except MemoryError as error:
        raise ImageUnreadable("Decoding the image takes too much memory.") from error
    except Exception as error:  # decoders raise anything for hostile bytes, and all of it means unreadable
        restored = png_structure.restored(content) if content.startswith(png_structure.SIGNATURE) else None
        if restored is not None and restored != content:  # only a chunk beside the pixels is damaged
            return decode(restored)
        raise ImageUnreadable(_reason(error, content)) from error


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, UnidentifiedImageError):
        return first_bytes.describe(content) or "The file is not an image in a supported format."
    detail = " ".join(str(error).split())[:200] or type(error).__name__
    return f"The image cannot be decoded: {detail}"


def _decoded(content: bytes, at_least: SizeOf | None) -> DecodedImage:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageUnreadable(f"The image has {width} x {height} pixels; at most {MAX_PIXELS} are accepted.")
        orientation = orientation_of(image)
        upright = (height, width) if orientation in _ROTATED else (width, height)
        if image.format in ("JPEG", "MPO"):
            whole = _whole_jpeg(content)
            if whole is not content:
                return _decoded(whole, at_least)
            least = at_least(*upright) if at_least else upright
            pixels = _jpeg(image, content, least[::-1] if orientation in _ROTATED else least)
        else:
            pixels = np.asarray(_shallow(image, content).convert("RGB"))
    return DecodedImage(_turned(pixels, orientation), *upright, orientation)


def _whole_jpeg(content: bytes) -> bytes:
    """With an end marker: decoders fill what is missing of a file that ends early, and say nothing."""
    ends = content.endswith(jpeg_structure.END)
    if ends and content.count(_SCAN) <= MAX_SCANS:
        return content
    end = jpeg_structure.end_of(content)  # a telephone may have put a film behind it
    if content.count(_SCAN, 0, end) > MAX_SCANS:
        raise ImageUnreadable(f"The JPEG has more than {MAX_SCANS} scans.")
    completed = content if ends or end is not None else jpeg_structure.with_end(content)
    if completed is None:
        raise ImageUnreadable("The image file ends too early: part of the JPEG's data is missing.")
    return completed


def _jpeg(image: Image.Image, content: bytes, least: tuple[int, int]) -> Pixels:
    """`least`: width and height as stored. Pillow and OpenCV have the same decoder, and the same reduced scales."""
    scale = next(each for each in (8, 4, 2, 1) if each == 1 or _serves(image.size, each, least))
    if cv2 is not None and image.mode in ("L", "RGB"):
        flag = getattr(cv2, f"IMREAD_REDUCED_COLOR_{scale}") if scale > 1 else cv2.IMREAD_COLOR
        with suppress(cv2.error):
            found = cv2.imdecode(np.frombuffer(content, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
            if found is not None:
                return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)
    if scale > 1:
        image.draft(None, (image.width // scale, image.height // scale))
    return np.asarray(image.convert("RGB"))


def _serves(size: tuple[int, int], scale: int, least: tuple[int, int]) -> bool:
    return size[0] >= scale * least[0] and size[1] >= scale * least[1]


def _shallow(image: Image.Image, content: bytes) -> Image.Image:
    """Of 8 bits. Pillow clips values of more bits instead of scaling them."""
    if image.mode.startswith("I") or image.mode == "F":
        return in_eight_bits(image)
    return shallow_colours(image, content)


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    if orientation == 1:
        return pixels
    transposed, axes = _TURNS[orientation]
    if cv2 is None:
        return np.ascontiguousarray(np.flip(pixels.swapaxes(0, 1) if transposed else pixels, axes))
    turned = cv2.transpose(pixels) if transposed else pixels
    return np.asarray(cv2.flip(turned, -1 if len(axes) == 2 else axes[0]) if axes else turned, np.uint8)
