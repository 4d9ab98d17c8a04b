"""The images on which an export is compared: those of a split of a prepared tree, as files, with the truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import NoSharedClass
from pipeline.evaluation.class_match import match_classes
from pipeline.layouts import MANIFEST_FILE
from pipeline.layouts.manifest_boxes import boxes_of_manifest
from pipeline.layouts.yolo import tree_stems


@dataclass(frozen=True, slots=True)
class HeldOutImage:
    """`boxes` (N, 5): class, x1, y1, x2, y2 in pixels of the upright image. Of a classification set it is empty, and
    `label` is the index of the class, None where that is not known."""

    file: Path
    boxes: NDArray[np.float64]
    label: int | None


def split_to_compare(tree: Path) -> str:
    """The first of test, val and train that has images. Raises ValueError for a tree without a manifest or images."""
    splits = {image["split"] for image in _manifest(tree)["images"]}
    for split in ("test", "val", "train"):
        if split in splits:
            return split
    raise ValueError("the dataset has no images")


def held_out_images(tree: Path, split: str, *, at_most: int, scratch: Path) -> list[HeldOutImage]:
    """Evenly spread over the split where it has more. `scratch`: a folder for images that are no files in the tree.

    Raises ValueError for a tree without a manifest, or without images in the split.
    """
    images = _manifest(tree)["images"]
    stems = tree_stems([image["path"] for image in images])
    chosen = [image for image in images if image["split"] == split]
    if not chosen:
        raise ValueError(f"the dataset has no images in {split}")
    chosen = [chosen[index] for index in np.unique(np.linspace(0, len(chosen) - 1, at_most).astype(int))]
    if (tree / "data.yaml").is_file():
        files = {path.stem: path for path in (tree / "images" / split).iterdir()}
        return [HeldOutImage(files[stems[each["path"]]], boxes_of_manifest(each["boxes"]), None) for each in chosen]
    return _classified(tree, split, {each["path"] for each in chosen}, scratch)


def in_classes_of_model(
    images: Sequence[HeldOutImage], tree: Path, classes: Sequence[str]
) -> list[HeldOutImage] | None:
    """The truth by the indices of `classes`, matched by name: an imported model may have other ones, or another order.

    What is of a class that the model lacks is left out. None where the model has no class of the dataset.
    """
    dataset = [str(name) for name in _manifest(tree)["classes"]]
    try:
        index_of = dict(match_classes(dataset, classes).pairs)
    except NoSharedClass:
        return None
    return [_placed(image, index_of) for image in images]


def _placed(image: HeldOutImage, index_of: Mapping[int, int]) -> HeldOutImage:
    rows = [[index_of[int(row[0])], *row[1:]] for row in image.boxes if int(row[0]) in index_of]
    label = None if image.label is None else index_of.get(image.label)
    return replace(image, boxes=np.array(rows, float).reshape(-1, 5), label=label)


def _manifest(tree: Path) -> dict[str, Any]:
    file = tree / MANIFEST_FILE
    if not file.is_file():
        raise ValueError(f"{tree} is no prepared tree: it has no {MANIFEST_FILE}")
    manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return manifest


def _classified(tree: Path, split: str, paths: set[str], scratch: Path) -> list[HeldOutImage]:
    from pipeline.trainers.classifier.data import open_tree  # takes seconds to import

    images = open_tree(tree).splits[split]
    found = []
    for index, path in enumerate(images.paths):
        if path in paths:
            file = scratch / f"{index:06d}"
            file.write_bytes(images.content(index))
            found.append(HeldOutImage(file, np.zeros((0, 5)), images.labels[index]))
    return found
