"""Made sets of any size, in Pascal VOC, stored in a ZIP: photo-like images to time, tiny ones to count."""

import io
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = ("bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dog")
PHOTO = (500, 375)  # pixels, as most of VOC 2007 has them
LARGE_PHOTO = (1280, 960)  # as phones send them
SMALL_PHOTO = (160, 120)  # as many as one likes
TINY = (24, 24)  # the smallest that is accepted with room to spare
_SPARE = 260  # pixels that a texture is larger than what is cut from it
_TEXTURES = 8
_BATCH = 64  # images in memory at most

_Grey = npt.NDArray[np.float32]
_Draw = Callable[[np.random.Generator], npt.NDArray[np.uint8]]


def write_set(path: Path, *, images: int, size: tuple[int, int], seed: int = 0, stored: bool = False) -> None:
    """Deflated, as many a person's ZIP is, unless `stored`; the same arguments give the same images.

    `size`: width and height in pixels. Photo-like images of sizes without a name above are scaled from `PHOTO`.
    """
    draw = _tiny if size == TINY else _photo(seed, SMALL_PHOTO if size == SMALL_PHOTO else PHOTO)

    def made(number: int) -> tuple[bytes, str]:
        rng = np.random.default_rng([seed, number])
        return _jpeg(draw(rng), size), _voc(rng, f"{number:06d}", *size)

    with (
        new_zip(path, stored=stored) as archive,
        ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        for start in range(0, images, _BATCH):
            batch = range(start, min(start + _BATCH, images))
            for number, (content, annotation) in zip(batch, threads.map(made, batch), strict=True):
                archive.writestr(f"made/JPEGImages/{number:06d}.jpg", content)
                archive.writestr(f"made/Annotations/{number:06d}.xml", annotation)


def new_zip(path: Path, *, stored: bool) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED, compresslevel=1)


def _jpeg(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    image, content = Image.fromarray(pixels), io.BytesIO()
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    image.save(content, "JPEG", quality=88)
    return content.getvalue()


def _photo(seed: int, size: tuple[int, int]) -> _Draw:
    """Two pieces of textures with the spectrum of photographs (1/f) over a gradient of colour, and some grain."""
    textures = [_texture(np.random.default_rng([seed, 1, number])) for number in range(_TEXTURES)]
    width, height = size

    def draw(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        share = rng.uniform(0.25, 0.75)
        grey = share * _cut(rng, textures, size) + (1 - share) * _cut(rng, textures, size)
        across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        channels = [
            128 + rng.uniform(35, 60) * grey + rng.uniform(-40, 40) * across + rng.uniform(-40, 40) * down
            for _ in range(3)
        ]
        grain = rng.normal(0, 3, (height, width, 1)).astype(np.float32)
        return np.clip(np.stack(channels, axis=2) + grain, 0, 255).astype(np.uint8)

    return draw


def _texture(rng: np.random.Generator) -> _Grey:
    """Mean 0, standard deviation 1."""
    rows, columns = PHOTO[1] + _SPARE, PHOTO[0] + _SPARE
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(rows, columns))) / frequency
    values = np.fft.irfft2(spectrum, (rows, columns))
    texture: _Grey = ((values - values.mean()) / values.std()).astype(np.float32)
    return texture


def _cut(rng: np.random.Generator, textures: list[_Grey], size: tuple[int, int]) -> _Grey:
    source = textures[int(rng.integers(len(textures)))]
    x, y = (int(at) for at in rng.integers(0, _SPARE, 2))
    piece = source[y : y + size[1], x : x + size[0]]
    return piece[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def _tiny(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Noise, four pixels of one grey to a patch: no two are near-duplicates."""
    patches = rng.integers(0, 256, (TINY[1] // 2, TINY[0] // 2), dtype=np.uint8)
    return patches.repeat(2, axis=0).repeat(2, axis=1)


def _voc(rng: np.random.Generator, stem: str, width: int, height: int) -> str:
    objects = "".join(_object(rng, width, height) for _ in range(int(rng.integers(1, 5))))
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{stem}.jpg</filename>\n"
        "\t<source>\n\t\t<database>Unknown</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object(rng: np.random.Generator, width: int, height: int) -> str:
    left, top = int(rng.integers(1, width // 2)), int(rng.integers(1, height // 2))
    right, bottom = left + int(rng.integers(5, width // 2)), top + int(rng.integers(5, height // 2))
    return (
        f"\t<object>\n\t\t<name>{rng.choice(CLASSES)}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n"
        f"\t\t<bndbox>\n\t\t\t<xmin>{left}</xmin>\n\t\t\t<ymin>{top}</ymin>\n"
        f"\t\t\t<xmax>{right}</xmax>\n\t\t\t<ymax>{bottom}</ymax>\n\t\t</bndbox>\n\t</object>\n"
    )
