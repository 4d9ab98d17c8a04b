"""The perceptual hash of an image: pHash (Zauner 2010) of 16 x 16 frequencies, 256 bits, as in the library imagehash.

Few bits differ between near-duplicates: the same photograph saved again, resized, brighter, blurred or grey.
All arithmetic is exact, in whole numbers: the hash decides the split, which is part of the fingerprint, so it must not
depend on a machine's matrix library. docs/decisions/0010-near-duplicates.md has the figures.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

PHASH_BYTES = 32
LOW_BYTES = 8  # of them the first: the 8 x 8 lowest frequencies, which small changes affect least
FLAT = 2.0  # grey levels of standard deviation: below it, noise would decide the bits

CROPS = (0.0, 0.025, 0.05)  # of the width or height that are cut off at one edge, for `phashes_of_crops`

_SIDE, _FREQUENCIES, _LOW = 64, 16, 8
_FIXED_POINT = 1 << 12  # 64 * 4096 * (64 * 4096 * 255) < 2**53: float64 holds every sum exactly

# A turned or mirrored image is the same array, transposed or reversed. EXIF orientation: (transpose, rows, columns).
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def phash_of(image: Image.Image, orientation: int = 1) -> bytes | None:
    """32 bytes, the low frequencies first; None for a flat image. `image` is decoded, at any size, as stored."""
    grey = _upright(_grey(image), orientation)
    if _is_flat(grey):
        return None
    cosines = _cosines()
    return _bits_of((cosines @ grey @ cosines.T).reshape(1, -1)).tobytes()


def phashes_of_crops(image: Image.Image, orientation: int = 1) -> bytes:
    """The hashes of the image with a part of CROPS cut off at each edge, 32 bytes each, one after the other, and first
    that of the whole; empty for a flat image. `image` is decoded, at any size, as stored.

    Only the frequencies of the part that is left are computed, over the pixels of the same small image: 81 crops
    cost a few milliseconds.
    """
    grey = _upright(_grey(image), orientation)
    if _is_flat(grey):
        return b""
    windows = _windows()
    rows = windows @ grey
    found = np.einsum("aij,bkj->abik", rows, windows, optimize=True).reshape(len(windows) ** 2, -1)
    cosines = _cosines()
    found[0] = (cosines @ grey @ cosines.T).ravel()
    return _bits_of(found).tobytes()


def _bits_of(found: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """(n, 256) frequencies -> (n, 32): above or below the median of each row, in a fifth of the time of numpy's."""
    middle = np.sort(found, axis=1)[:, _FREQUENCIES**2 // 2 - 1 : _FREQUENCIES**2 // 2 + 1]
    bits = found > ((middle[:, 0] + middle[:, 1]) / 2)[:, None]
    return np.packbits(bits[:, _low_first()], axis=1)


def _is_flat(grey: npt.NDArray[np.float64]) -> bool:
    """Whether the standard deviation is below FLAT, by the variance times n squared: whole numbers, so exact."""
    flat = grey.ravel()
    count, total = flat.size, float(flat.sum())
    return count * float(flat @ flat) - total * total < (FLAT * count) ** 2


def _grey(image: Image.Image) -> npt.NDArray[np.float64]:
    """64 x 64 grey levels, 0 to 255, whole numbers."""
    if image.mode.startswith("I") or image.mode == "F":
        # Grey of other ranges: a sample of the pixels, stretched. Pillow would cut everything above 255.
        values = np.asarray(image)[:: max(1, image.height // 256), :: max(1, image.width // 256)].astype(np.float64)
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
    # Pillow resizes 8-bit grey in fixed point: the same on every machine.
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _upright(grey: npt.NDArray[np.float64], orientation: int) -> npt.NDArray[np.float64]:
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    turned = grey.T if transpose else grey
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


@lru_cache(maxsize=1)
def _low_first() -> npt.NDArray[np.intp]:
    """The positions of the 8 x 8 lowest frequencies among all 256, then of the rest, both row by row."""
    positions = np.arange(_FREQUENCIES**2).reshape(_FREQUENCIES, _FREQUENCIES)
    low = np.zeros(positions.shape, dtype=bool)
    low[:_LOW, :_LOW] = True
    return np.concatenate([positions[low], positions[~low]])


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    """The 16 lowest rows of the discrete cosine transform (type II) of 64 values, as whole numbers."""
    rows, columns = np.arange(_FREQUENCIES)[:, None], np.arange(_SIDE)[None, :]
    angles: npt.NDArray[np.float64] = np.pi * rows * (2 * columns + 1) / (2 * _SIDE)
    cosines: npt.NDArray[np.float64] = np.rint(np.cos(angles) * _FIXED_POINT)
    return cosines


@lru_cache(maxsize=1)
def _windows() -> npt.NDArray[np.float64]:
    """(9, 16, 64): for each pair of CROPS at the two ends, the 16 lowest cosines over what is left between them,
    integrated over each of 64 pixels, 0 outside, as whole numbers of at most _FIXED_POINT."""
    waves = np.arange(_FREQUENCIES)[:, None]
    made = []
    for before in CROPS:
        for after in CROPS:
            start, end = _SIDE * before, _SIDE * (1 - after)
            low = np.clip(np.arange(_SIDE), start, end)[None, :]
            high = np.clip(np.arange(1, _SIDE + 1), start, end)[None, :]
            angle = np.pi * np.maximum(waves, 1) / (end - start)
            waved = (np.sin(angle * (high - start)) - np.sin(angle * (low - start))) / angle
            made.append(np.rint(np.where(waves == 0, high - low, waved) * _FIXED_POINT))
    return np.stack(made)
