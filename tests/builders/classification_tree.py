"""Prepared classification trees with drawn images: light boxes, discs and crosses on dark ground."""

import hashlib
import io
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

SHAPES = ("box", "disc", "cross")


def draw_classified_tree(
    root: Path,
    *,
    train: int = 24,
    val: int = 8,
    test: int = 6,
    side: int = 32,
    seed: int = 0,
    classes: tuple[str, ...] = ("box", "disc"),
    flipped: Mapping[str, str] | None = None,
) -> Path:
    """As the huggingface layout writes it. `flipped`: path -> its wrong label."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(root / ".cache")}
    import datasets

    datasets.disable_progress_bars()
    rng = random.Random(seed)
    label = datasets.ClassLabel(names=list(classes))
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": label,
            "path": datasets.Value("string"),
            "sha256": datasets.Value("string"),
        }
    )
    splits = {}
    listed = []
    for split, count in (("train", train), ("validation", val), ("test", test)):
        rows: dict[str, list[object]] = {"image": [], "label": [], "path": [], "sha256": []}
        for index in range(count):
            name = classes[index % len(classes)]
            path = f"{name}/{split}-{index:03d}.png"
            content = _draw(SHAPES[index % len(classes)], side=side, rng=rng)
            listed.append({"path": path, "split": "val" if split == "validation" else split})
            labelled = (flipped or {}).get(path, name)
            for key, value in (
                ("image", {"bytes": content, "path": None}),
                ("label", classes.index(labelled)),
                ("path", path),
                ("sha256", hashlib.sha256(content).hexdigest()),
            ):
                rows[key].append(value)
        splits[split] = datasets.Dataset.from_dict(rows, features=features)
    splits = {name: split for name, split in splits.items() if len(split)}  # an empty one could not be read back
    datasets.DatasetDict(splits).save_to_disk(str(root / "data"))
    (root / "classes.json").write_text(json.dumps(list(classes)))
    (root / "manifest.json").write_text(json.dumps({"images": listed}))
    return root


def _draw(shape: str, *, side: int, rng: random.Random) -> bytes:
    image = Image.new("RGB", (side, side), tuple(rng.randrange(50) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    wide = rng.randint(side // 2, side * 3 // 4)
    x, y = rng.randint(0, side - wide), rng.randint(0, side - wide)
    shade = tuple(rng.randrange(150, 256) for _ in range(3))
    if shape == "cross":
        middle, thick = wide // 2, max(2, wide // 6)
        pen.rectangle((x + middle - thick, y, x + middle + thick, y + wide), fill=shade)
        pen.rectangle((x, y + middle - thick, x + wide, y + middle + thick), fill=shade)
    else:
        (pen.ellipse if shape == "disc" else pen.rectangle)((x, y, x + wide, y + wide), fill=shade)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
