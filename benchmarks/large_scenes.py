"""Drawn scenes with shapes of known boxes, of any size: small ones, some large ones, on busy backgrounds."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.samples.backgrounds import draw_background
from pipeline.samples.drawing import colour_off

CLASSES = ("box", "disc", "triangle")
SURFACE = 480  # px of a background, which is enlarged to the scene
TRIES = 30
SHARED = 0.15  # of the smaller of two shapes: more of it is not covered by the other

Truth = NDArray[np.float64]


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int], sides: list[tuple[float, float]]
) -> tuple[Image.Image, Truth]:
    """`sides`: the smallest and the largest side of each shape, in px. The truth is (N, 5): class, x1, y1, x2, y2."""
    surface = draw_background(rng, min(SURFACE, max(size)))
    image = surface.resize((max(size), max(size)), Image.Resampling.BICUBIC).crop((0, 0, *size))
    truth: list[tuple[float, ...]] = []
    for low, high in sorted(sides, reverse=True):
        side = math.exp(rng.uniform(math.log(low), math.log(high)))
        if (box := _free_place(rng, size, side, truth)) is not None:
            kind = int(rng.integers(len(CLASSES)))
            _draw_shape(rng, image, kind, box)
            truth.append((kind, *box))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.5)), np.float64)
    grained = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(grained), np.array(truth).reshape(-1, 5)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def write_tree(root: Path, *, images: int, side: int, sides: tuple[float, float]) -> Path:
    """Square images with two to nine shapes, as ultralytics reads them. Returns data.yaml."""
    rng = np.random.default_rng(1)
    for split, count in (("train", images), ("val", max(8, images // 10))):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            image, truth = draw_scene(rng, (side, side), [sides] * int(rng.integers(2, 10)))
            (root / "images" / split / f"{index:04d}.jpg").write_bytes(jpeg(image))
            lines = [f"{int(kind)} {_centre(corners, side)}" for kind, *corners in truth.tolist()]
            (root / "labels" / split / f"{index:04d}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8"
    )
    return root / "data.yaml"


def _free_place(
    rng: np.random.Generator, size: tuple[int, int], side: float, others: list[tuple[float, ...]]
) -> tuple[float, float, float, float] | None:
    wide, high = side, min(side * rng.uniform(0.7, 1.3), size[1] - 1)
    for _ in range(TRIES):
        x, y = rng.uniform(0, size[0] - wide), rng.uniform(0, size[1] - high)
        box = (x, y, x + wide, y + high)
        if all(_shared(box, other[1:]) < SHARED for other in others):
            return box
    return None


def _shared(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return max(width, 0) * max(height, 0) / smaller


def _draw_shape(rng: np.random.Generator, image: Image.Image, kind: int, box: tuple[float, ...]) -> None:
    left, top, right, bottom = box
    frame = (math.floor(left), math.floor(top), math.ceil(right) + 1, math.ceil(bottom) + 1)
    under = image.crop(frame)
    fine = 4 if right - left < 100 else 1
    cover = Image.new("L", (under.width * fine, under.height * fine))
    x1, y1, x2, y2 = ((value - frame[index % 2]) * fine for index, value in enumerate(box))
    pen = ImageDraw.Draw(cover)
    match CLASSES[kind]:
        case "box":
            pen.rectangle((x1, y1, x2, y2), fill=255)
        case "disc":
            pen.ellipse((x1, y1, x2, y2), fill=255)
        case _:
            pen.polygon(((x1, y2), ((x1 + x2) / 2, y1), (x2, y2)), fill=255)
    colour = colour_off(rng, np.asarray(under, np.float64).mean(axis=(0, 1)))
    image.paste(Image.new("RGB", under.size, colour), frame[:2], cover.resize(under.size, Image.Resampling.BOX))


def _centre(corners: list[float], side: int) -> str:
    x1, y1, x2, y2 = (value / side for value in corners)
    return f"{(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}"
