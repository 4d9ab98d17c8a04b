"""The demo's folders of classes: stick figures in eight poses on busy backgrounds, drawn from a seed.

A class is a pose and nothing else: build, size, position, thickness, colours, background and clutter have the same
distribution in all classes. `python -m deploy.local.poses out/` writes images for inspection.
"""

import argparse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from deploy.local.skeletons import POSES, Point, Skeleton, draw_skeleton
from pipeline.samples.backgrounds import draw_background, draw_clutter
from pipeline.samples.drawing import Colour, add, colour_off, jpeg, photograph

CLASSES = tuple(POSES)
SIDE = 96  # pixels; trained at 64, where a limb is still two pixels wide
FINE = 3  # figures are drawn this many times larger, then reduced: smooth edges
SMALLEST, LARGEST = 0.72, 0.9  # of a standing figure's height, as a part of the side
THIN, THICK = 0.030, 0.062  # of a limb, as a part of the figure's height
PALEST = 120  # of 255: nothing behind the figure is darker, so a small ViT learns strokes from few images
DARK = (0.05, 0.5)  # brightness of a figure's colour, 0 to 1
ASIDE = (0.25, 0.75)  # position within the free space: off the middle
MARGIN = 3  # pixels between the figure and the image's edge, at least


@dataclass(frozen=True)
class StickFigure:
    name: str
    image: Image.Image


def write_archive(path: Path, *, figures: int, seed: int, shuffle_labels: bool = False) -> None:
    """Write `figures` images as `poses/<class>/0001.jpg`. The same arguments give the same bytes.

    `shuffle_labels` puts every image into a random folder: the score of a model on such a dataset is that of chance
    and leaks.
    """
    rng = np.random.default_rng([seed, 1])
    with zipfile.ZipFile(path, "w") as archive:
        for number, figure in enumerate(draw_figures(figures, seed=seed), start=1):
            name = str(rng.choice(CLASSES)) if shuffle_labels else figure.name
            add(archive, f"poses/{name}/{number:04d}.jpg", jpeg(figure.image))


def draw_figures(count: int, *, seed: int) -> Iterator[StickFigure]:
    """StickFigure n depends on (seed, n) only; the classes take turns."""
    for number in range(count):
        name = CLASSES[number % len(CLASSES)]
        yield StickFigure(name, draw_figure(np.random.default_rng([seed, 0, number]), name))


def draw_figure(rng: np.random.Generator, name: str) -> Image.Image:
    """RGB, SIDE x SIDE: background, clutter, the figure over it, as a camera sees it."""
    image = draw_background(rng, SIDE)
    draw_clutter(rng, image)
    image = image.point(lambda value: round(PALEST + (255 - PALEST) * value / 255))
    skeleton = draw_skeleton(rng, name)
    scale = float(rng.uniform(SMALLEST, LARGEST)) * SIDE
    image = _paste(rng, image, _placed(rng, skeleton, scale), thickness=float(rng.uniform(THIN, THICK)) * scale)
    return photograph(rng, image)


def _placed(rng: np.random.Generator, skeleton: Skeleton, scale: float) -> Skeleton:
    """Scaled to pixels at a random position inside the image, smaller where it would not fit."""
    points = np.array(skeleton.points())
    low, high = points.min(axis=0) - skeleton.radius, points.max(axis=0) + skeleton.radius
    scale = min(scale, (SIDE - 2 * MARGIN) / float((high - low).max()))
    room = SIDE - 2 * MARGIN - scale * (high - low)
    shift = MARGIN + rng.uniform(*ASIDE, 2) * room - scale * low

    def place(point: Point) -> Point:
        return float(scale * point[0] + shift[0]), float(scale * point[1] + shift[1])

    return Skeleton(
        tuple(map(place, skeleton.torso)),
        (tuple(map(place, skeleton.arms[0])), tuple(map(place, skeleton.arms[1]))),
        (tuple(map(place, skeleton.legs[0])), tuple(map(place, skeleton.legs[1]))),
        place(skeleton.head),
        scale * skeleton.radius,
    )


def _paste(rng: np.random.Generator, image: Image.Image, figure: Skeleton, *, thickness: float) -> Image.Image:
    """The figure in one colour, in two (trousers), with a rim, or with an open head; a soft shadow beneath."""
    style = str(rng.choice(["plain", "plain", "trousers", "rim", "open head"]))
    cover = _cover(figure, thickness, open_head=style == "open head")
    shadow = cover.filter(ImageFilter.GaussianBlur(1.5)).point(lambda value: int(value * 0.4))
    image.paste(Image.new("RGB", image.size, (10, 10, 16)), (1, 2), shadow)
    beneath = np.asarray(image, dtype=np.float64)[np.asarray(cover) >= 128].mean(axis=0)
    colour = colour_off(rng, beneath, values=DARK)
    if style == "rim":
        rim = cover.filter(ImageFilter.MaxFilter(3))
        image = Image.composite(Image.new("RGB", image.size, _shade(colour)), image, rim)
    filling = Image.new("RGB", image.size, colour)
    if style == "trousers":
        legs = _strokes([*figure.legs], thickness)
        filling.paste(Image.new("RGB", image.size, colour_off(rng, beneath, values=DARK)), (0, 0), legs)
    return Image.composite(filling, image, cover)


def _cover(figure: Skeleton, thickness: float, *, open_head: bool) -> Image.Image:
    """How much of each pixel the figure covers, 0 to 255."""
    fine = _fine_strokes([figure.torso, *figure.arms, *figure.legs], thickness)
    draw, (x, y), radius = ImageDraw.Draw(fine), figure.head, figure.radius
    box = [(x - radius) * FINE, (y - radius) * FINE, (x + radius) * FINE, (y + radius) * FINE]
    if open_head:
        draw.ellipse(box, outline=255, width=max(FINE, round(thickness * FINE * 0.8)))
    else:
        draw.ellipse(box, fill=255)
    return fine.reduce(FINE)


def _strokes(parts: list[tuple[Point, ...]], thickness: float) -> Image.Image:
    return _fine_strokes(parts, thickness).reduce(FINE)


def _fine_strokes(parts: list[tuple[Point, ...]], thickness: float) -> Image.Image:
    """Each part as one line with round joints and ends, FINE times larger."""
    fine = Image.new("L", (SIDE * FINE, SIDE * FINE))
    draw, width = ImageDraw.Draw(fine), thickness * FINE
    for part in parts:
        joints = [(x * FINE, y * FINE) for x, y in part]
        draw.line(joints, fill=255, width=round(width))
        for x, y in joints:
            draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    return fine


def _shade(colour: Colour) -> Colour:
    """Darker; lighter where it is dark already."""
    red, green, blue = (round(0.35 * channel + (150 if sum(colour) < 300 else 0)) for channel in colour)
    return red, green, blue


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.poses", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for poses.zip")
    parser.add_argument("--figures", type=int, default=960)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffle-labels", action="store_true", help="put every image into a random folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    archive = args.out / "poses.zip"
    write_archive(archive, figures=args.figures, seed=args.seed, shuffle_labels=args.shuffle_labels)
    print(archive)


if __name__ == "__main__":
    main()
