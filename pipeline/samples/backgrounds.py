"""Backgrounds of the demo's images: surfaces, and clutter that has no outline of a labelled shape."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Field = npt.NDArray[np.float64]  # side x side, 0 to 1


def draw_background(rng: np.random.Generator, side: int) -> Image.Image:
    """An RGB image of side x side: a surface between two colours, sometimes mixed with a second surface."""
    field = SURFACES[int(rng.integers(len(SURFACES)))](rng, side)
    if rng.uniform() < 0.4:
        field = 0.6 * field + 0.4 * SURFACES[int(rng.integers(len(SURFACES)))](rng, side)
    dark = rng.uniform(0, 190, 3)
    pixels = dark + field[:, :, None] * rng.uniform(-30, 90, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_clutter(rng: np.random.Generator, image: Image.Image) -> None:
    """Lines, arcs, scribbles and specks: edges and corners without a closed outline."""
    draw, side = ImageDraw.Draw(image), image.width
    for _ in range(int(rng.integers(0, 7))):
        CLUTTER[int(rng.integers(len(CLUTTER)))](rng, draw, side)


def _slope(rng: np.random.Generator, side: int) -> Field:
    x, y = _grid(side)
    angle = rng.uniform(0, math.tau)
    return _stretch(x * math.cos(angle) + y * math.sin(angle))


def _glow(rng: np.random.Generator, side: int) -> Field:
    x, y = _grid(side)
    centre_x, centre_y = rng.uniform(0, 1, 2)
    return _stretch(-np.hypot(x - centre_x, y - centre_y))


def _clouds(rng: np.random.Generator, side: int) -> Field:
    """Noise of several sizes, the coarse ones stronger."""
    total = np.zeros((side, side))
    for cells in (3, 6, 12, 24):
        total += _noise(rng, cells, cells, side) / cells
    return _stretch(total)


def _grain(rng: np.random.Generator, side: int) -> Field:
    """Wood: noise pulled long in one direction."""
    return _stretch(_noise(rng, 3, 40, side) + 0.5 * _noise(rng, 5, 90, side))


def _weave(rng: np.random.Generator, side: int) -> Field:
    """Stripes, or a checked cloth where a second set crosses them."""
    x, y = _grid(side)
    angle, count = rng.uniform(0, math.tau), rng.uniform(4, 18)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    stripes = np.sin(math.tau * count * along)
    return _stretch(stripes + np.sin(math.tau * count * across) if rng.uniform() < 0.5 else stripes) * 0.5


def _speckle(rng: np.random.Generator, side: int) -> Field:
    """Gravel: fine noise, softened."""
    image = Image.fromarray((rng.uniform(0, 255, (side, side))).astype(np.uint8))
    soft = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 2.5))))
    return _stretch(np.asarray(soft, dtype=np.float64))


SURFACES: tuple[Callable[[np.random.Generator, int], Field], ...] = (_slope, _glow, _clouds, _grain, _weave, _speckle)


def _line(rng: np.random.Generator, draw: ImageDraw.ImageDraw, side: int) -> None:
    ends = rng.uniform(-10, side + 10, 4).tolist()
    draw.line(ends, fill=_ink(rng), width=int(rng.integers(1, 4)))


def _arc(rng: np.random.Generator, draw: ImageDraw.ImageDraw, side: int) -> None:
    x, y = rng.uniform(0, side, 2)
    radius, start = rng.uniform(8, 45), rng.uniform(0, 360)
    box = [x - radius, y - radius, x + radius, y + radius]
    draw.arc(box, start, start + rng.uniform(40, 150), fill=_ink(rng), width=int(rng.integers(1, 4)))


def _scribble(rng: np.random.Generator, draw: ImageDraw.ImageDraw, side: int) -> None:
    steps = rng.normal(0, 11, (int(rng.integers(4, 9)), 2))
    path = rng.uniform(15, side - 15, 2) + np.cumsum(steps, axis=0)
    draw.line([(float(x), float(y)) for x, y in path], fill=_ink(rng), width=int(rng.integers(1, 3)), joint="curve")


def _specks(rng: np.random.Generator, draw: ImageDraw.ImageDraw, side: int) -> None:
    ink = _ink(rng)
    for x, y in rng.uniform(0, side, (int(rng.integers(5, 30)), 2)):
        size = rng.uniform(0.5, 1.8)
        draw.ellipse([x - size, y - size, x + size, y + size], fill=ink)


CLUTTER: tuple[Callable[[np.random.Generator, ImageDraw.ImageDraw, int], None], ...] = (_line, _arc, _scribble, _specks)


def _ink(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(channel) for channel in rng.integers(0, 256, 3))
    return red, green, blue


def _grid(side: int) -> tuple[Field, Field]:
    ramp = np.linspace(0, 1, side)
    return np.broadcast_to(ramp[None, :], (side, side)), np.broadcast_to(ramp[:, None], (side, side))


def _noise(rng: np.random.Generator, rows: int, columns: int, side: int) -> Field:
    coarse = Image.fromarray(rng.uniform(0, 255, (rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)


def _stretch(field: Field) -> Field:
    low, high = float(field.min()), float(field.max())
    return (field - low) / (high - low if high > low else 1.0)
