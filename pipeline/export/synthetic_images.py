"""Images made on the spot, for the certificate of a model without any dataset: they have no truth."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from pipeline.export.held_out import HeldOutImage

COUNT = 24
_SIZES = ((640, 480), (480, 640), (800, 320), (500, 500))
_ORIENTATION_TAG, _ROTATED = 0x0112, 6


def draw_synthetic_images(folder: Path) -> list[HeldOutImage]:
    """Coloured noise of several scales in JPEGs, a third of them rotated by EXIF; the same each time."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(COUNT):
        width, height = _SIZES[index % len(_SIZES)]
        cells = 4 << (index % 5)
        noise = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        image = image.filter(ImageFilter.GaussianBlur(index % 3))
        exif = Image.Exif()
        if index % 3 == 0:
            exif[_ORIENTATION_TAG] = _ROTATED
        file = folder / f"synthetic-{index:02d}.jpg"
        image.save(file, "JPEG", quality=92, exif=exif)
        images.append(HeldOutImage(file, np.zeros((0, 5)), None))
    return images
