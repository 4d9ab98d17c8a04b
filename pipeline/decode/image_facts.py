"""The facts that one decode finds out about an image, and the bytes in which a decoding process sends them."""

import json
import math
import sys
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.archive.byte_range import ByteRange
from pipeline.decode.phash import PHASH_BYTES

SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "BMP": ".bmp",
    "WEBP": ".webp",
}  # of the formats that trainers read
SUFFIXES_OF: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "DIB": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "JPEG2000": (".jp2",),
    "AVIF": (".avif", ".heic", ".heif"),
    "PPM": (".ppm", ".pgm"),
}

_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_TRANSPOSED = frozenset({5, 6, 7, 8})
_PACKED_VALUES, _PACKED_PHASH = 15, 7  # of `pack`: how many, and which one is the hash
_MAX_NUMBER = 2**63 - 1  # headers declare up to 2**32 - 1, and more frames: a finding, not a malformed reply
_FULL_BITS = 16
_BIT_DEPTHS = frozenset({0, 8, 10, 12, 14, _FULL_BITS})
_PROBLEMS = frozenset({"image-empty", "image-too-large", "image-too-small", "image-truncated", "image-unreadable"})


class ImageFacts(NamedTuple):
    """`width` and `height` as stored, in pixels; `problem` is None or (finding code, detail).

    `phash`: 32 bytes, of the upright image (`pipeline/decode/phash.py`); None for a flat one. `converted`: where the
    PNG lies of an image that trainers would read differently. `bits`: of the values of an image with more than 8 per
    channel, from which they are reduced to 8; 0 for all others, also for those of a range that is stretched. `dark`:
    whether it is nearly black then. `odd`: what is odd about the bytes of the file, as the end of a sentence.
    `rewrite`: whether it is therefore converted. `end`: how many bytes of the file are the image; 0 for all.
    `brightness` and `blur`: see `pipeline/decode/quality.py`.
    """

    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    orientation: int = 1
    frames: int = 1
    problem: tuple[str, str] | None = None
    phash: bytes | None = None
    bits: int = 0
    dark: bool = False
    odd: str = ""
    rewrite: bool = False
    end: int = 0
    brightness: float = 0.0
    blur: float = 0.0
    converted: ByteRange | None = None

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) after the EXIF orientation is applied, as OpenCV and browsers show the image."""
        return (self.height, self.width) if self.orientation in _TRANSPOSED else (self.width, self.height)

    @property
    def is_deep(self) -> bool:
        """Whether it has more than 8 bits per channel."""
        return self.bits > 0 or self.mode.startswith("I") or self.mode == "F"

    @property
    def convert(self) -> bool:
        """Whether trainers would read it differently or not at all, or would write it anew.

        Kept as they are: 8-bit grey, palette, RGB(A) in JPEG, PNG, BMP and WEBP with one frame; JPEG also turned,
        since every reader turns it (for other formats that differs between versions of OpenCV).
        """
        turned = self.orientation != 1 and self.format not in ("JPEG", "MPO")
        several = self.frames > 1 and self.format != "MPO"  # of an MPO, every JPEG reader sees the first
        shallow = 0 < self.bits < _FULL_BITS  # of 16 bits, every reader takes the high byte
        other = self.format not in SUFFIXES or self.mode not in _PLAIN_MODES
        return other or turned or several or shallow or self.rewrite


class Traits(NamedTuple):
    """What an image's row in an index does not state about it otherwise: see ImageFacts."""

    mode: str
    orientation: int
    frames: int
    odd: str


_trait = lru_cache(maxsize=1024)(Traits)  # nearly all images of a dataset have the same


def traits_of(facts: ImageFacts) -> Traits | None:
    """None where the facts of an image cannot be kept without it: it is converted, or its values are reduced."""
    if facts.problem or facts.convert or facts.is_deep:
        return None
    return _trait(facts.mode, facts.orientation, facts.frames, facts.odd)


def facts_from(
    traits: Traits,
    *,
    upright: tuple[int, int],
    format: str,
    phash: bytes | None,
    end: int,
    brightness: float,
    blur: float,
) -> ImageFacts:
    """Of an image with traits. Raises ValueError where a value is of another type or range than decoding gives."""
    width, height = reversed(upright) if traits.orientation in _TRANSPOSED else upright
    try:
        values = (width, height, format, traits.mode, traits.orientation, traits.frames, None, phash)
        facts = _checked(*values, 0, False, traits.odd, False, end, brightness, blur)
    except TypeError as error:
        raise ValueError(f"No facts of an image: {error}.") from error
    if traits_of(facts) != traits:
        raise ValueError("No facts of an image that is kept as it is.")
    return facts


def pack(facts: ImageFacts, png: bytes | None) -> bytes:
    """One line of JSON, then the PNG. `converted` is not in it: the process that decodes cannot write it."""
    phash = facts.phash.hex() if facts.phash else None
    return json.dumps([*facts[:7], phash, *facts[8:15]]).encode() + b"\n" + (png or b"")


def unpack(content: bytes) -> tuple[ImageFacts, bytes | None]:
    """The reverse of `pack`, of bytes that may be hostile: every value has its type and range. Raises ValueError."""
    line, _, png = content.partition(b"\n")
    try:
        values = list(json.loads(line))
        if len(values) != _PACKED_VALUES:
            raise ValueError("No facts of an image.")
        phash = values[_PACKED_PHASH]
        values[_PACKED_PHASH] = None if phash is None else bytes.fromhex(phash)
        return _checked(*values), png or None
    except (TypeError, RecursionError) as error:
        raise ValueError(f"No facts of an image: {error}.") from error


def _checked(
    width: Any,
    height: Any,
    format: Any,
    mode: Any,
    orientation: Any,
    frames: Any,
    problem: Any,
    phash: bytes | None,
    bits: Any,
    dark: Any,
    odd: Any,
    rewrite: Any,
    end: Any,
    brightness: Any,
    blur: Any,
) -> ImageFacts:
    """Raises ValueError or TypeError where a value is of another type or range."""
    if phash is not None and len(phash) != PHASH_BYTES:
        raise ValueError("A perceptual hash of another length.")
    return ImageFacts(
        _whole(width, _MAX_NUMBER),
        _whole(height, _MAX_NUMBER),
        sys.intern(_text(format)),  # not 100,000 times "JPEG"
        sys.intern(_text(mode)),
        _whole(orientation, 8),
        _whole(frames, _MAX_NUMBER),
        None if problem is None else _problem(*problem),
        phash,
        _one_of(_BIT_DEPTHS, bits),
        _truth(dark),
        _text(odd),
        _truth(rewrite),
        _whole(end, _MAX_NUMBER),
        _fraction(brightness),
        _fraction(blur),
    )


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"No number from 0 to {most}.")
    return value


def _fraction(value: Any) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError("No number from 0 to 1.")
    return float(value)


def _one_of(allowed: frozenset[int], value: Any) -> int:
    if type(value) is not int or value not in allowed:
        raise ValueError(f"None of {sorted(allowed)}.")
    return value


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError("No boolean.")
    return value


def _problem(code: Any, detail: Any) -> tuple[str, str]:
    if code not in _PROBLEMS:
        raise ValueError("No problem of an image.")
    return code, _text(detail)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("No text.")
    return value
