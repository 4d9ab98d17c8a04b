"""The sample `shapes`, which is the demo's dataset too: paper shapes on busy backgrounds, as a Pascal VOC archive.

A class is a shape and nothing else: colour, size, rotation, filling, background and neighbours have the same
distribution in all classes, so a model can only learn the outline. Shapes may cover each other and leave the image; a
box is the tight hull of the visible part.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from pipeline.samples.backgrounds import draw_background, draw_clutter
from pipeline.samples.drawing import add, colour_off, jpeg, photograph

SIDE = 160  # pixels; trained at 128, so a shape keeps its outline
FINE = 3  # shapes are drawn this many times larger, then reduced: smooth edges
SMALLEST, LARGEST = 19, 42  # a shape's radius in pixels
VISIBLE = 0.8  # of a shape's area must stay visible, or it is drawn elsewhere
TILT = math.radians(25)  # in both directions from upright: a square does not become a diamond
TRIES = 12

Points = list[tuple[float, float]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SceneBox:
    """Pixel indices of the first and last visible column and row, 0-based and inclusive."""

    name: str
    left: int
    top: int
    right: int
    bottom: int
    truncated: bool


@dataclass(frozen=True)
class Scene:
    image: Image.Image
    boxes: tuple[SceneBox, ...]


def write_archive(
    path: Path,
    *,
    scenes: int,
    seed: int,
    shuffle_labels: bool = False,
    drawn: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Write `scenes` images with their VOC files. The same arguments give the same bytes.

    `shuffle_labels` names every box at random: the score of a model on such a dataset is that of chance and leaks.
    `drawn(done, total)` is called after each scene.
    """
    rng = np.random.default_rng([seed, 1])
    with zipfile.ZipFile(path, "w") as archive:
        for number, scene in enumerate(draw_scenes(scenes, seed=seed), start=1):
            stem = f"scene-{number:04d}"
            names = [str(rng.choice(CLASSES)) if shuffle_labels else box.name for box in scene.boxes]
            add(archive, f"shapes/JPEGImages/{stem}.jpg", jpeg(scene.image))
            add(archive, f"shapes/Annotations/{stem}.xml", _voc(f"{stem}.jpg", scene, names))
            drawn(number, scenes)


def draw_scenes(count: int, *, seed: int) -> Iterator[Scene]:
    """Scene n depends on (seed, n) only."""
    for number in range(count):
        yield draw_scene(np.random.default_rng([seed, 0, number]))


def draw_scene(rng: np.random.Generator) -> Scene:
    """One to four shapes on a background, later ones over earlier ones."""
    image = draw_background(rng, SIDE)
    draw_clutter(rng, image)
    placed: list[tuple[str, Mask, float]] = []  # name, visible part, whole area
    for _ in range(int(rng.integers(1, 5))):
        image, placed = _place(rng, image, placed)
    image = photograph(rng, image)
    return Scene(image, tuple(_tight_box(name, mask, area) for name, mask, area in placed))


def _place(
    rng: np.random.Generator, image: Image.Image, placed: list[tuple[str, Mask, float]]
) -> tuple[Image.Image, list[tuple[str, Mask, float]]]:
    """Adds one shape where every shape stays VISIBLE; unchanged when no such position was found."""
    name = str(rng.choice(CLASSES))
    for _ in range(TRIES):
        radius = float(rng.uniform(SMALLEST, LARGEST))
        x, y = rng.uniform(0.6 * radius, SIDE - 0.6 * radius, size=2)
        turned = _turn(OUTLINES[name](rng), angle=float(rng.uniform(-TILT, TILT)), rng=rng)
        area = _area(turned) * radius**2
        cover = _cover([(x + radius * px, y + radius * py) for px, py in turned])
        mask = np.asarray(cover) >= 128
        others = [(other, visible & ~mask, whole) for other, visible, whole in placed]
        if all(visible.sum() >= VISIBLE * whole for _, visible, whole in [*others, (name, mask, area)]):
            return _paste(rng, image, cover, radius), [*others, (name, mask, area)]
    return image, placed


def _circle(rng: np.random.Generator) -> Points:
    del rng
    return [(math.cos(angle), math.sin(angle)) for angle in np.linspace(0, math.tau, 60, endpoint=False)]


def _square(rng: np.random.Generator) -> Points:
    return _jitter(rng, _polygon(4), 0.05)


def _triangle(rng: np.random.Generator) -> Points:
    return _jitter(rng, _polygon(3), 0.07)


def _star(rng: np.random.Generator) -> Points:
    waist = float(rng.uniform(0.4, 0.5))  # the regular five-pointed star has 0.38
    return [
        (x * (waist if corner % 2 else 1.0), y * (waist if corner % 2 else 1.0))
        for corner, (x, y) in enumerate(_polygon(10))
    ]


OUTLINES: dict[str, Callable[[np.random.Generator], Points]] = {
    "circle": _circle,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
CLASSES = tuple(OUTLINES)


def _polygon(corners: int) -> Points:
    """Evenly spaced on the unit circle: an even number lies flat, an odd one and the star point up."""
    first = math.pi / corners if corners == 4 else -math.pi / 2
    return [
        (math.cos(first + math.tau * i / corners), math.sin(first + math.tau * i / corners)) for i in range(corners)
    ]


def _jitter(rng: np.random.Generator, points: Points, amount: float) -> Points:
    return [(x + float(rng.uniform(-amount, amount)), y + float(rng.uniform(-amount, amount))) for x, y in points]


def _turn(points: Points, *, angle: float, rng: np.random.Generator) -> Points:
    """Narrowed a little, as if seen from the side, then rotated."""
    wide, (cos, sin) = float(rng.uniform(0.86, 1.0)), (math.cos(angle), math.sin(angle))
    return [(wide * x * cos - y * sin, wide * x * sin + y * cos) for x, y in points]


def _area(points: Points) -> float:
    """The shoelace formula."""
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def _cover(points: Points) -> Image.Image:
    """How much of each pixel the outline covers, 0 to 255."""
    fine = Image.new("L", (SIDE * FINE, SIDE * FINE))
    ImageDraw.Draw(fine).polygon([(x * FINE, y * FINE) for x, y in points], fill=255)
    return fine.reduce(FINE)


def _paste(rng: np.random.Generator, image: Image.Image, cover: Image.Image, radius: float) -> Image.Image:
    shadow = cover.filter(ImageFilter.GaussianBlur(2.0)).point(lambda value: int(value * 0.45))
    offset = (int(rng.integers(-3, 4)), int(rng.integers(1, 4)))
    image.paste(Image.new("RGB", image.size, (10, 10, 16)), offset, shadow)
    return Image.composite(_filling(rng, image, cover, radius), image, cover)


def _filling(rng: np.random.Generator, image: Image.Image, cover: Image.Image, radius: float) -> Image.Image:
    """A colour that stands off from what lies beneath: plain, striped, dotted, or with a rim."""
    beneath = np.asarray(image, dtype=np.float64)[np.asarray(cover) >= 128].mean(axis=0)
    colour = colour_off(rng, beneath)
    filling = Image.new("RGB", image.size, colour)
    second = tuple(int(0.72 * channel + (70 if sum(colour) < 330 else 0)) for channel in colour)
    draw, style = ImageDraw.Draw(filling), rng.choice(["plain", "plain", "striped", "dotted", "rim"])
    step = max(5, int(radius / 3))
    if style == "striped":
        slant = int(rng.integers(-SIDE, SIDE))
        for x in range(-SIDE, 2 * SIDE, 2 * step):
            draw.line([(x, 0), (x + slant, SIDE)], fill=second, width=step)
    elif style == "dotted":
        for x in range(0, SIDE, 2 * step):
            for y in range(0, SIDE, 2 * step):
                draw.ellipse([x, y, x + step - 2, y + step - 2], fill=second)
    elif style == "rim":
        inner = cover.filter(ImageFilter.MinFilter(5))
        filling = Image.composite(filling, Image.new("RGB", image.size, second), inner)
    return filling


def _tight_box(name: str, mask: Mask, area: float) -> SceneBox:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, right, top, bottom = int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])
    return SceneBox(name, left, top, right, bottom, truncated=bool(mask.sum() < 0.9 * area))


def _voc(filename: str, scene: Scene, names: list[str]) -> bytes:
    """VOC counts pixels from 1, the last one included."""
    root = ElementTree.Element("annotation")
    _text(root, folder="JPEGImages", filename=filename)
    _text(ElementTree.SubElement(root, "size"), width=scene.image.width, height=scene.image.height, depth=3)
    _text(root, segmented=0)
    for name, box in zip(names, scene.boxes, strict=True):
        item = ElementTree.SubElement(root, "object")
        _text(item, name=name, pose="Unspecified", truncated=int(box.truncated), difficult=0)
        _text(
            ElementTree.SubElement(item, "bndbox"),
            xmin=box.left + 1,
            ymin=box.top + 1,
            xmax=box.right + 1,
            ymax=box.bottom + 1,
        )
    ElementTree.indent(root)
    return ElementTree.tostring(root)


def _text(parent: ElementTree.Element, **values: str | int) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)
