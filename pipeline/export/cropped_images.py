"""Upright and wide parts of images, for sides that the images of a dataset may not have, and a prediction may."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.export.held_out import HeldOutImage
from pipeline.predictor.images import ImageUnreadable, decode


def crop_images(images: Sequence[HeldOutImage], folder: Path) -> list[HeldOutImage]:
    """Two of each image, half as wide as high and half as high as wide, without truth. An unreadable one has none."""
    cropped = []
    for number, image in enumerate(images):
        try:
            pixels = decode(image.file.read_bytes()).pixels
        except ImageUnreadable:
            continue
        height, width = pixels.shape[:2]
        parts = pixels[:, : max(1, height // 2)], pixels[: max(1, width // 2)]
        for name, part in zip(("upright", "wide"), parts, strict=True):
            file = folder / f"{number}-{name}.png"
            Image.fromarray(np.ascontiguousarray(part)).save(file, compress_level=1)
            cropped.append(HeldOutImage(file, np.zeros((0, 5)), None))
    return cropped
