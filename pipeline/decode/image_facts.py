"""What one decode tells about an image."""

from typing import NamedTuple

from pipeline.archive.byte_range import ByteRange

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp"}  # of what trainers read

_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_TRANSPOSED = frozenset({5, 6, 7, 8})


class ImageFacts(NamedTuple):
    """What one decode tells. `width` and `height` as stored, in pixels; `problem` is None or (finding code, detail).

    `look` is what the upright image looks like, in 32 bytes (`pipeline/decode/phash.py`); None for a flat one.
    `converted`: where it lies as it was written anew.
    """

    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    orientation: int = 1
    frames: int = 1
    problem: tuple[str, str] | None = None
    phash: bytes | None = None
    converted: ByteRange | None = None

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) after the EXIF orientation is applied, as OpenCV and browsers show the image."""
        return (self.height, self.width) if self.orientation in _TRANSPOSED else (self.width, self.height)

    @property
    def convert(self) -> bool:
        """Whether trainers would read it differently or not at all.

        Kept as they are: 8-bit grey, palette, RGB(A) in JPEG, PNG, BMP and WEBP with one frame; JPEG also turned,
        since every reader turns it (for the other formats that differs between versions of OpenCV).
        """
        turned = self.orientation != 1 and self.format not in ("JPEG", "MPO")
        several = self.frames > 1 and self.format != "MPO"  # of an MPO, every JPEG reader sees the first
        return self.format not in SUFFIXES or self.mode not in _PLAIN_MODES or turned or several
