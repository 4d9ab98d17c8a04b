"""OpenCV, with which ultralytics reads images: consulted only about what is suspect, and imported only then."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from types import ModuleType

_SIDE = 16  # px of the reduced images that are compared
_TOLERANCE = 12.0  # grey levels on average: two decoders of one JPEG differ by less than 3, a turned image by far more


def reads_as(content: bytes, upright: Image.Image, size: tuple[int, int]) -> bool:
    """Whether OpenCV reads an image of `size` that looks as `upright`, which may be smaller."""
    pixels = _decoded(content, "IMREAD_COLOR")
    if pixels is None or pixels.shape[1::-1] != size:
        return False
    theirs = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    return float(np.abs(_reduced(theirs) - _reduced(upright)).mean()) < _TOLERANCE


def deep_pixels(content: bytes) -> npt.NDArray[np.uint16] | None:
    """RGB of 16 bits per channel, as stored, not turned; None where OpenCV does not read it as that."""
    pixels = _decoded(content, "IMREAD_UNCHANGED")
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] < 3:
        return None
    return np.ascontiguousarray(pixels[..., 2::-1])


def _reduced(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(image.convert("RGB").convert("L").resize((_SIDE, _SIDE)), dtype=np.float64)


def _decoded(content: bytes, flag: str) -> npt.NDArray[Any] | None:
    cv2 = _quiet_opencv()
    try:
        pixels: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), getattr(cv2, flag))
    except cv2.error:
        return None
    return pixels


def _quiet_opencv() -> "ModuleType":
    import cv2  # 0.2 s, in the few decoding processes that need it

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
