"""Images of one fixed camera: the same textured background, and a small part somewhere else in each."""

import io
import random

from PIL import Image, ImageDraw, ImageFilter

from tests.builders.voc import Files, annotation

_SIZE = (320, 240)


def one_camera(count: int, *, pattern: str = "belt/{}") -> Files:
    """Each with an XML; all are near-duplicates of each other."""
    files: Files = {}
    background = _background()
    for at in range(count):
        name, box = pattern.format(at), ("part", 10.0 + at, 20.0, 14.0 + at, 24.0)
        image, out = background.copy(), io.BytesIO()
        ImageDraw.Draw(image).rectangle((9 + at, 19, 13 + at, 23), fill=(200, 40, 40))
        image.save(out, "JPEG")
        files[f"{name}.jpg"] = out.getvalue()
        files[f"{name}.xml"] = annotation(f"{name.rpartition('/')[2]}.jpg", [box], size=_SIZE)
    return files


def _background() -> Image.Image:
    rng = random.Random("one camera")
    image = Image.new("RGB", _SIZE, (90, 90, 90))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, r = rng.randrange(_SIZE[0]), rng.randrange(_SIZE[1]), rng.randrange(4, 60)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.randrange(256) for _ in range(3)))
    return image.filter(ImageFilter.GaussianBlur(1))
