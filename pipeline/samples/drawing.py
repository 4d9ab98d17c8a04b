"""Shared by the demo's images: visible colours, the effects of a camera, files, archive entries."""

import colorsys
import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Colour = tuple[int, int, int]


def colour_off(
    rng: np.random.Generator, beneath: npt.NDArray[np.float64], *, values: tuple[float, float] = (0.25, 1)
) -> Colour:
    """A random colour at a distance of at least 140 (of 441) from `beneath`, so that the shape is visible.

    `values`: range of its brightness, 0 to 1.
    """
    while True:
        hue, saturation, value = rng.uniform(0, 1), rng.uniform(0.25, 1), rng.uniform(*values)
        red, green, blue = (int(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
        if np.linalg.norm(np.array([red, green, blue]) - beneath) > 140:
            return red, green, blue


def photograph(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The effects of a camera: some blur, uneven light, grain. `image` is square."""
    soft = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 0.8))))
    pixels = np.asarray(soft, dtype=np.float64)
    ramp = np.linspace(-1, 1, image.width)
    light = 1 + rng.uniform(-0.22, 0.22) * ramp[None, :, None] + rng.uniform(-0.22, 0.22) * ramp[:, None, None]
    grain = rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return Image.fromarray(np.clip(pixels * light + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def beside(left: bytes, right: bytes, path: Path) -> Path:
    """Two images of one size, in one file."""
    images = [Image.open(io.BytesIO(content)).convert("RGB") for content in (left, right)]
    width, height = images[1].size
    both = Image.new("RGB", (2 * width, height))
    for index, image in enumerate(images):
        both.paste(image.resize((width, height)), (index * width, 0))
    path.write_bytes(jpeg(both))
    return path


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(
        zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), content
    )  # a fixed date: the same bytes each time
