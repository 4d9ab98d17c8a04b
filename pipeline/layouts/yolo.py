"""The tree that ultralytics reads: images/, labels/ and a data.yaml of our own making, never the user's.

Images are moved, not copied; those that trainers would read otherwise are written anew as PNG.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import yaml

from pipeline.dataset import SPLITS, Picture
from pipeline.images import SUFFIXES, convert
from pipeline.layouts import MANIFEST_FILE, TAR_FILE, TREE_FOLDER
from pipeline.manifest import manifest_parts
from pipeline.tarball import Digest, write_tar

if TYPE_CHECKING:
    from pipeline.examine import Examined
    from pipeline.steps import Steps

_MAX_STEM = 80  # characters, so that every path in the tar stays below ustar's 100


def write_set(done: "Examined", out: Path, steps: "Steps") -> Digest:
    """See `pipeline.layouts.LayoutModule`."""
    write_tree(done.pictures, done.classes, done.splits, out / TREE_FOLDER, steps.tick)
    return write_tar(out / TREE_FOLDER, out / TAR_FILE, steps.tick)


def write_tree(
    pictures: list[Picture],
    classes: list[str],
    splits: dict[str, str],
    tree: Path,
    tick: Callable[[int, int], None],
) -> None:
    """Write everything below `tree`. Moves the pictures' files there. `tick(done, total)` may raise to stop."""
    names = tree_names(pictures, splits)
    for split in SPLITS:
        if split != "test" or split in splits.values():
            (tree / "images" / split).mkdir(parents=True, exist_ok=True)
            (tree / "labels" / split).mkdir(parents=True, exist_ok=True)
    root = f"{tree}/"
    for done, picture in enumerate(pictures, start=1):
        name = names[picture.path]
        if picture.convert:
            convert(Path(picture.file), tree / name)
        else:
            os.rename(picture.file, root + name)  # noqa: PTH104 - text, no Paths: there may be 100,000
        label = f"{root}labels/{name.removeprefix('images/').rpartition('.')[0]}.txt"
        # An empty file for background, so that a missing one is always a fault.
        with open(label, "wb", buffering=0) as file:  # noqa: PTH123
            file.write(label_lines(picture).encode("ascii"))
        tick(done, len(pictures))
    (tree / "data.yaml").write_text(_data_yaml(classes, splits), encoding="utf-8")
    with (tree / MANIFEST_FILE).open("wb") as manifest:
        manifest.writelines(manifest_parts(pictures, classes, splits))


def label_lines(picture: Picture) -> str:
    """`class x_centre y_centre width height`, fractions of the picture.

    Nine decimals: 1/1000 px of a picture of 65,535 px is 1.5e-8, so the manifest's integers can be had back.
    """
    wide, high = picture.width * 1000, picture.height * 1000
    return "".join(
        f"{box.class_id} {(box.x1 + box.x2) / 2 / wide:.9f} {(box.y1 + box.y2) / 2 / high:.9f} "
        f"{(box.x2 - box.x1) / wide:.9f} {(box.y2 - box.y1) / high:.9f}\n"
        for box in picture.boxes
    )


def tree_names(pictures: list[Picture], splits: dict[str, str]) -> dict[str, str]:
    """Picture path -> its path in the tree: `images/train/IMG_0001.jpg`.

    The stem is the picture's own in ASCII, with 8 digits of the sha256 of its path where two would be equal (also
    but for case). It depends on the set of paths alone, not on their order.
    """
    stems = {picture.path: _ascii_stem(picture.path) for picture in pictures}
    for digits in (8, 16, 64):
        counts = Counter(stem.lower() for stem in stems.values())
        doubles = [path for path, stem in stems.items() if counts[stem.lower()] > 1 or not stem]
        for path in doubles:
            digest = hashlib.sha256(path.encode()).hexdigest()[:digits]
            base = _ascii_stem(path)[: _MAX_STEM - digits - 1]
            stems[path] = f"{base}-{digest}" if base else f"image-{digest}"[:_MAX_STEM]
        if not doubles:
            break
    return {
        picture.path: f"images/{splits[picture.path]}/{stems[picture.path]}{_suffix(picture)}" for picture in pictures
    }


def _suffix(picture: Picture) -> str:
    return ".png" if picture.convert else SUFFIXES[picture.format]


def _ascii_stem(path: str) -> str:
    plain = unicodedata.normalize("NFKD", PurePosixPath(path).stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:_MAX_STEM]


def _data_yaml(classes: list[str], splits: dict[str, str]) -> str:
    content: dict[str, object] = {"path": ".", "train": "images/train", "val": "images/val"}
    if "test" in splits.values():
        content["test"] = "images/test"
    content["names"] = dict(enumerate(classes))
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
