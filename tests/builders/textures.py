"""Images of which no two are similar, as photographs, and what people do with an image before they send it again."""

import io

import numpy as np
from PIL import Image

from tests.builders.voc import annotation

SIZE = (160, 120)


def texture(seed: int, *, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blurred noise: as many low frequencies as a photograph."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, *, quality: int = 90) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()


def saved_again(content: bytes) -> bytes:
    return jpeg(Image.open(io.BytesIO(content)), quality=60)


def scaled(content: bytes) -> bytes:
    image = Image.open(io.BytesIO(content))
    return jpeg(image.resize((round(image.width * 0.7), round(image.height * 0.7)), Image.Resampling.LANCZOS))


def cropped(content: bytes, *, parts: tuple[float, float, float, float] = (0.05, 0.03, 0.04, 0.05)) -> bytes:
    """`parts` of the width or height that are cut off: left, top, right, bottom."""
    image = Image.open(io.BytesIO(content))
    left, top, right, bottom = parts
    width, height = image.size
    box = (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    return jpeg(image.crop(box))


def with_boxes(images: dict[str, bytes]) -> dict[str, bytes]:
    """Pascal VOC: each image with a box of one of two classes. Names without a suffix."""
    files = {}
    for number, (name, content) in enumerate(images.items()):
        size = Image.open(io.BytesIO(content)).size
        label = ("ball", "cube")[number % 2]
        files[f"images/{name}.jpg"] = content
        files[f"annotations/{name}.xml"] = annotation(f"{name}.jpg", [(label, 10, 10, 60, 50)], size=size)
    return files
