"""The images of a split of a prepared tree with what is true about them, read one at a time."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import ParamsInvalid
from pipeline.dataset.model import HUGGINGFACE_SPLITS
from pipeline.layouts import MANIFEST_FILE
from pipeline.layouts.arrow import arrow_rows
from pipeline.layouts.manifest_boxes import boxes_of_manifest
from pipeline.layouts.yolo import tree_stems
from pipeline.trainers.image_check import require_images


@dataclass(frozen=True, slots=True)
class SplitImage:
    """`path` as in the manifest. `boxes` (N, 5): class, x1, y1, x2, y2 in pixels of the upright image. `label`: the
    class of the whole image, None in detection. Its bytes are `size` of `file` from `at` on; None: all."""

    path: str
    boxes: NDArray[np.float64]
    label: int | None
    file: Path
    at: int = 0
    size: int | None = None

    def content(self) -> bytes:
        with self.file.open("rb") as opened:
            opened.seek(self.at)
            return opened.read(-1 if self.size is None else self.size)


@dataclass(frozen=True, slots=True)
class EvaluatedSplit:
    kind: str
    classes: tuple[str, ...]
    images: tuple[SplitImage, ...]


def open_split(tree: Path, split: str) -> EvaluatedSplit:
    """In the order of the paths. Raises ParamsInvalid for a split without images, ImagesDiffer for a tree that lacks
    some of its manifest."""
    manifest = json.loads((tree / MANIFEST_FILE).read_text(encoding="utf-8"))
    chosen = [image for image in manifest["images"] if image["split"] == split]
    if not chosen:
        raise ParamsInvalid(f"The dataset has no {split} split.", split=split)
    if manifest["kind"] == "detection":
        images = _detection(tree, split, manifest["images"], chosen)
    else:
        images = _classification(tree, split, chosen)
    return EvaluatedSplit(manifest["kind"], tuple(map(str, manifest["classes"])), images)


def _detection(
    tree: Path, split: str, every: list[dict[str, Any]], chosen: list[dict[str, Any]]
) -> tuple[SplitImage, ...]:
    stems = tree_stems([image["path"] for image in every])
    files = {path.stem: path for path in (tree / "images" / split).iterdir()}
    require_images(split, stated={stems[image["path"]]: image["path"] for image in chosen}, read=files)
    return tuple(
        SplitImage(image["path"], boxes_of_manifest(image["boxes"]), None, files[stems[image["path"]]])
        for image in chosen
    )


def _classification(tree: Path, split: str, chosen: list[dict[str, Any]]) -> tuple[SplitImage, ...]:
    places: dict[str, tuple[Path, int, int]] = {}
    for file in sorted((tree / "data" / HUGGINGFACE_SPLITS[split]).glob("*.arrow")):
        places |= {row.path: (file, row.at, row.bytes) for row in arrow_rows(file)}
    require_images(split, stated={image["path"]: image["path"] for image in chosen}, read=places)
    nothing = np.zeros((0, 5))
    return tuple(SplitImage(image["path"], nothing, image["label"], *places[image["path"]]) for image in chosen)
