"""Prepared datasets for the colour models, with their image indexes: scenes with boxes, and textures by class."""

import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.index.schema import INDEX_FILE
from pipeline.layouts import TREE_FOLDER
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.progress import StageReporter
from pipeline.process.results import Prepared
from pipeline.process.specs import PrepareSpec
from tests.builders.colour_models import CLASSES, COLOURS, draw_scenes
from tests.builders.voc import Files, zip_files


def prepared(folder: Path, files: Files) -> tuple[Path, Path]:
    """The tree and the image index."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = zip_files(folder / "set.zip", files)
    spec = PrepareSpec(out=folder / "out", archive=archive, options=PrepareOptions(), processes=1)
    result = prepare(spec, StageReporter())
    assert isinstance(result, Prepared), result
    return spec.out / TREE_FOLDER, spec.out / INDEX_FILE


def scene_files(folder: Path, *, classes: Sequence[str] = CLASSES, test: int = 18) -> Files:
    """A YOLO tree of red, green and blue squares, called `classes`; some images are rotated by EXIF."""
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(classes))
    files: Files = {"data.yaml": f"train: images/train\nval: images/val\ntest: images/test\nnames:\n{names}".encode()}
    for number, scene in enumerate(draw_scenes(folder, test + 12, seed=3)):
        split = "test" if number < test else ("train" if number % 4 else "val")
        with Image.open(scene.file) as image:
            wide, high = image.size[::-1] if image.getexif().get(0x0112) == 6 else image.size
        sides = np.array([wide, high, wide, high])
        boxes = np.column_stack(
            ((scene.boxes[:, 1:3] + scene.boxes[:, 3:]) / 2, scene.boxes[:, 3:] - scene.boxes[:, 1:3])
        )
        rows = [
            f"{int(index)} " + " ".join(f"{value:.6f}" for value in box)
            for index, box in zip(scene.boxes[:, 0], boxes / sides, strict=True)
        ]
        files[f"images/{split}/{number:03d}.jpg"] = scene.file.read_bytes()
        files[f"labels/{split}/{number:03d}.txt"] = ("\n".join(rows) + "\n").encode()
    return files


def texture_files(counts: Mapping[str, int], *, names: Sequence[str] = CLASSES, seed: int = 0) -> Files:
    """`split -> images of each class`, folders of classes: noise tinted with the colour of the class. No two are
    near-duplicates."""
    return {
        f"{split}/{name}/{seed}-{number:03d}.png": texture(f"{seed}{split}{name}{number}", COLOURS[index % 3])
        for split, count in counts.items()
        for index, name in enumerate(names)
        for number in range(count)
    }


def texture(seed: str, tint: tuple[int, int, int]) -> bytes:
    rng = random.Random(seed)
    noise = Image.frombytes("RGB", (8, 8), bytes(rng.randrange(200) for _ in range(192)))
    image = Image.blend(noise.resize((96, 96), Image.Resampling.BICUBIC), Image.new("RGB", (96, 96), tint), 0.3)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def saved_again(content: bytes) -> bytes:
    """The same image as a JPEG: other bytes, nearly the same hash."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.save(out, "JPEG", quality=95)
    return out.getvalue()
