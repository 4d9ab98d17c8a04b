"""A prepared classification tree, as images with labels. The same for every classifier.

`tree/classes.json` has the names in stored order, `tree/data` is a dataset for `datasets.load_from_disk`.
Import only after `huggingface_env.go_offline`.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from PIL import Image, ImageOps

from pipeline.dataset.model import HUGGINGFACE_SPLITS
from pipeline.trainers.image_check import manifest_paths, require_images


@dataclass(frozen=True, slots=True)
class SplitImages:
    """One split. `labels` are ids in the order of the classes, `paths` are those of the upload; images stay on disk."""

    labels: tuple[int, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    _rows: Any

    def __len__(self) -> int:
        return len(self.labels)

    def open(self, index: int) -> Image.Image:
        """RGB, upright."""
        return upright(io.BytesIO(self._rows[index]["image"]["bytes"]))

    def content(self, index: int) -> bytes:
        """The image's file."""
        return bytes(self._rows[index]["image"]["bytes"])

    def open_small(self, index: int, side: int) -> Image.Image:
        """As `open`, reduced to no less than `side` px on the shorter side: large JPEGs are read many times faster."""
        return upright(io.BytesIO(self._rows[index]["image"]["bytes"]), draft=side)


@dataclass(frozen=True, slots=True)
class Tree:
    """`splits` by Darkroom's names, without the empty ones."""

    classes: tuple[str, ...]
    splits: dict[str, SplitImages]


def open_tree(tree: Path) -> Tree:
    """Raises FileNotFoundError for a folder that is not a prepared tree, ImagesDiffer for one of other images."""
    classes = tuple(json.loads((tree / "classes.json").read_text(encoding="utf-8")))
    data = datasets.load_from_disk(str(tree / "data"))
    splits = {
        ours: _images(data[theirs])
        for ours, theirs in HUGGINGFACE_SPLITS.items()
        if theirs in data and len(data[theirs])
    }
    for split, paths in manifest_paths(tree).items():
        read = splits[split].paths if split in splits else ()
        require_images(split, stated={path: path for path in paths}, read=read)
    return Tree(classes, splits)


def upright(source: Path | io.BytesIO, *, draft: int | None = None) -> Image.Image:
    """RGB, with the EXIF rotation applied. `draft`: see `SplitImages.open_small`."""
    with Image.open(source) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        return ImageOps.exif_transpose(image).convert("RGB")


def _images(rows: Any) -> SplitImages:
    encoded = rows.cast_column("image", datasets.Image(decode=False))
    return SplitImages(
        labels=tuple(int(label) for label in rows["label"]),
        paths=tuple(str(path) for path in rows["path"]),
        digests=tuple(str(digest) for digest in rows["sha256"]),
        _rows=encoded.select_columns(["image"]),
    )
