"""Class folders as users upload them: drawn images, one shape for each class."""

import io
import random

from PIL import Image, ImageDraw

from tests.builders.voc import Files

SHAPES = ("box", "disc", "cross")


def folder_files(
    *, each: int = 8, classes: tuple[str, ...] = SHAPES, side: int = 48, wrap: str = "", splits: tuple[str, ...] = ("",)
) -> Files:
    """`each` images of each class, in each of `splits` (`train/`). No two are near-duplicates."""
    return {
        f"{wrap}{split}{name}/{number:02d}.png": shape(SHAPES[at % 3], seed=f"{split}{name}{number}", side=side)
        for split in splits
        for at, name in enumerate(classes)
        for number in range(each)
    }


def shape(kind: str, *, seed: str, side: int = 48, format: str = "PNG") -> bytes:
    """A light shape on dark noise, which keeps any two images from being near-duplicates."""
    rng = random.Random(seed)
    noise = Image.frombytes("RGB", (8, 8), bytes(rng.randrange(90) for _ in range(192)))
    image = noise.resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    wide = rng.randint(side // 2, side * 3 // 4)
    x, y = rng.randint(0, side - wide), rng.randint(0, side - wide)
    shade = tuple(rng.randrange(150, 256) for _ in range(3))
    if kind == "cross":
        pen.line((x, y, x + wide, y + wide), fill=shade, width=side // 8)
        pen.line((x, y + wide, x + wide, y), fill=shade, width=side // 8)
    else:
        (pen.ellipse if kind == "disc" else pen.rectangle)((x, y, x + wide, y + wide), fill=shade)
    content = io.BytesIO()
    image.save(content, format)
    return content.getvalue()
