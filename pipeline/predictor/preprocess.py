"""Upright pixels to the input of the model, and how boxes come back from it."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.predictor.images import DecodedImage, ImageUnreadable, Pixels
from pipeline.predictor.metadata import Preprocessing

cv2: Any = None
with suppress(ImportError):  # thirty times as fast as numpy for `linear`, with the same pixels
    import cv2

MAX_RESIZED = 50_000_000  # pixels after a resize by the shorter side: a line of 1 x 100,000 would take gigabytes
_ONE = 2048
Indices = NDArray[np.intp]
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the image lies in the input: x of the input = x of the upright image * `scale_x` + `left`, and so is y."""

    scale_x: float
    scale_y: float
    left: float
    top: float
    width: int
    height: int

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) corners in pixels of the input -> in pixels of the upright image, clipped to it."""
        offset = np.array([self.left, self.top, self.left, self.top], np.float32)
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        limits = np.array([self.width, self.height, self.width, self.height], np.float32)
        return np.asarray(np.clip((boxes - offset) / scale, 0, limits))


def needed_size(width: int, height: int, wanted: Preprocessing) -> tuple[int, int]:
    """The width and height below which an image of `width` x `height` is not decoded.

    A filter that averages gets twice the size that it reduces to.
    """
    size = resized(width, height, wanted)
    return size if wanted.interpolation == "linear" else (2 * size[0], 2 * size[1])


def resized(width: int, height: int, wanted: Preprocessing) -> tuple[int, int]:
    """Width and height of an image of `width` x `height` after the resize, before padding or cropping.

    Raises ImageUnreadable for one that is too long for its width.
    """
    if wanted.fit == "stretch":
        return wanted.width, wanted.height
    if wanted.fit == "letterbox":  # as ultralytics does it (data/augment.py, LetterBox)
        ratio = min(wanted.height / height, wanted.width / width)
        return max(1, round(width * ratio)), max(1, round(height * ratio))
    # As image processors of transformers do it: the longer side is truncated.
    long = int(wanted.resize_to * max(width, height) / min(width, height))
    if wanted.resize_to * long > MAX_RESIZED:
        raise ImageUnreadable(f"The image has {width} x {height} pixels: it is too long for its width.")
    return (wanted.resize_to, long) if width <= height else (long, wanted.resize_to)


def prepare(image: DecodedImage, wanted: Preprocessing) -> tuple[NDArray[np.float32], Placement]:
    """(3, height, width) float32, contiguous, and the placement of the image in it. Raises ImageUnreadable."""
    match wanted.fit:
        case "letterbox":
            pixels, placement = _letterbox(image, wanted)
        case "stretch":
            pixels = resize(image.pixels, (wanted.width, wanted.height), wanted.interpolation)
            scales = wanted.width / image.width, wanted.height / image.height
            placement = Placement(*scales, 0, 0, image.width, image.height)
        case _:
            pixels, placement = _centre(image, wanted)
    return _values(pixels, wanted), placement


def resize(pixels: Pixels, size: tuple[int, int], interpolation: str) -> Pixels:
    """`size`: width, height."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if interpolation != "linear":
        return np.asarray(Image.fromarray(pixels).resize(size, _FILTERS[interpolation]))
    if cv2 is not None:
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return _linear(pixels, size)


def _linear(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """OpenCV's INTER_LINEAR for 8 bits, in its integers (modules/imgproc/src/resize.cpp): weights of 11 bits."""
    height, width = pixels.shape[:2]
    left, right, weight_x = _neighbours(width, size[0])
    weight_x[left == right] = 0  # of columns only: half of a row twice is rounded twice
    above, below, weight_y = _neighbours(height, size[1])
    used = np.unique(np.concatenate((above, below)))
    rows = pixels[used].astype(np.int32)
    across = rows[:, left] * (_ONE - weight_x)[None, :, None] + rows[:, right] * weight_x[None, :, None]
    upper, lower = (across[np.searchsorted(used, each)] >> 4 for each in (above, below))
    share = weight_y[:, None, None]
    return (((((_ONE - share) * upper) >> 16) + ((share * lower) >> 16) + 2) >> 2).astype(np.uint8)


def _neighbours(source: int, target: int) -> tuple[Indices, Indices, NDArray[np.int32]]:
    """The two source pixels of each target pixel, and the weight of the second, in 2048ths."""
    scale = 1 / (target / source)  # and single precision from here on, as OpenCV: both decide about halves
    place = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.intp)
    weight = np.rint((place - first.astype(np.float32)) * _ONE).astype(np.int32)
    return np.clip(first, 0, source - 1), np.clip(first + 1, 0, source - 1), weight


def _letterbox(image: DecodedImage, wanted: Preprocessing) -> tuple[Pixels, Placement]:
    ratio = min(wanted.height / image.height, wanted.width / image.width)
    width, height = resized(image.width, image.height, wanted)
    spare_x, spare_y = wanted.width - width, wanted.height - height
    if wanted.stride:
        spare_x, spare_y = spare_x % wanted.stride, spare_y % wanted.stride
    left, top = round(spare_x / 2 - 0.1), round(spare_y / 2 - 0.1)
    padded = np.full((height + spare_y, width + spare_x, 3), wanted.pad, np.uint8)
    padded[top : top + height, left : left + width] = resize(image.pixels, (width, height), wanted.interpolation)
    return padded, Placement(ratio, ratio, left, top, image.width, image.height)


def _centre(image: DecodedImage, wanted: Preprocessing) -> tuple[Pixels, Placement]:
    width, height = resized(image.width, image.height, wanted)
    whole = resize(image.pixels, (width, height), wanted.interpolation)
    left, top = (width - wanted.width) // 2, (height - wanted.height) // 2
    pixels = np.zeros((wanted.height, wanted.width, 3), np.uint8)
    part = whole[max(top, 0) : max(top, 0) + wanted.height, max(left, 0) : max(left, 0) + wanted.width]
    row, column = max(-top, 0), max(-left, 0)
    pixels[row : row + part.shape[0], column : column + part.shape[1]] = part
    return pixels, Placement(width / image.width, height / image.height, -left, -top, image.width, image.height)


def _values(pixels: Pixels, wanted: Preprocessing) -> NDArray[np.float32]:
    """One multiplication and one addition for each value."""
    mean, std = np.asarray(wanted.mean, np.float32), np.asarray(wanted.std, np.float32)
    values = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], np.float32(1 / 255) / std[channel], out=values[channel], casting="unsafe")
        if mean[channel]:
            values[channel] -= mean[channel] / std[channel]
    return values
