"""The tree that ultralytics reads: images/, labels/ and a data.yaml that is generated, never the user's.

Images are written as they are, without bytes behind their end; those that trainers would read differently, as
converted to PNG.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import yaml

from pipeline.archive.byte_range import ByteRange
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.dataset.model import DatasetImage
from pipeline.decode.image_facts import SUFFIXES
from pipeline.layouts import MANIFEST_FILE, TAR_FILE
from pipeline.layouts.tarball import Place, TarWriter, open_tar

if TYPE_CHECKING:
    from pipeline.dataset.validated import ValidatedDataset
    from pipeline.process.progress import StageReporter

_NOT_IN_A_STEM = re.compile(r"[^A-Za-z0-9_-]+")
_ODD_PARTS = re.compile(r"//|/\Z|(?:\A|/)\.(?:/|\Z)")  # empty ones and dots, which pathlib leaves out
_MAX_STEM = 80  # characters, so that every path in the tar stays below ustar's 100


def write_set(
    dataset: "ValidatedDataset", out: Path, steps: "StageReporter", placed: Callable[[dict[str, Place]], None]
) -> int:
    """See `pipeline.layouts.LayoutModule`."""
    with open_tar(out / TAR_FILE) as tar:
        members = (dataset.images, dataset.classes, dataset.splits, dataset.manifest)

        def tick(*_: int) -> None:
            steps.tick(min(tar.copied, len(dataset.images)), len(dataset.images))  # the manifest is copied, too

        def before(image: DatasetImage) -> None:
            tick()
            dataset.wait_for(image)

        placed(write_members(tar, *members, before=before))
        return tar.end(tick)


def write_members(
    tar: TarWriter,
    images: list[DatasetImage],
    classes: list[str],
    splits: dict[str, str],
    manifest: Path,
    *,
    before: Callable[[DatasetImage], None] = lambda _: None,
) -> dict[str, Place]:
    """The tree, members in the order of their names. Returns the place of each image by its path. `before` each image
    it may wait, or raise to stop."""
    names = tree_names(images, splits)
    by_name = sorted(images, key=lambda image: names[image.path])
    places: dict[str, Place] = {}
    tar.add("data.yaml", _data_yaml(classes, splits).encode())
    for image in by_name:
        before(image)
        name, written = names[image.path], image.written
        places[image.path] = Place(name, tar.add_range(name, written), written.size)
    for image in by_name:
        # An empty file for background, so that a missing one is always a fault.
        tar.add(_label_name(names[image.path]), label_lines(image).encode("ascii"))
    tar.add_range(MANIFEST_FILE, ByteRange(str(manifest), 0, manifest.stat().st_size))
    return places


def _label_name(name: str) -> str:
    """Stems are unique, so labels sort as their images do."""
    return f"labels/{name.removeprefix('images/').rpartition('.')[0]}.txt"


def label_lines(image: DatasetImage) -> str:
    """`class x_centre y_centre width height`, fractions of the image.

    Nine decimals: 1/1000 px of an image of 65,535 px is 1.5e-8, so the manifest's integers can be restored.
    """
    wide, high = image.width * 1000, image.height * 1000
    return "".join(
        f"{box.class_id} {(box.x1 + box.x2) / 2 / wide:.9f} {(box.y1 + box.y2) / 2 / high:.9f} "
        f"{(box.x2 - box.x1) / wide:.9f} {(box.y2 - box.y1) / high:.9f}\n"
        for box in image.boxes
    )


def tree_names(images: list[DatasetImage], splits: dict[str, str]) -> dict[str, str]:
    """Image path -> its path in the tree: `images/train/IMG_0001.jpg`.

    The stem is the image's own in ASCII, with 8 digits of the sha256 of its path where two would be equal (also
    but for case). It depends on the set of paths alone, not on their order.
    """
    stems = tree_stems([image.path for image in images])
    return {image.path: f"images/{splits[image.path]}/{stems[image.path]}{_suffix(image)}" for image in images}


def tree_stems(paths: list[str]) -> dict[str, str]:
    """Image path -> the stem of its name in the tree; `paths` are those of all images."""
    stems = {path: _ascii_stem(path) for path in paths}
    for digits in (8, 16, 64):
        counts = Counter(stem.lower() for stem in stems.values())
        doubles = [path for path, stem in stems.items() if counts[stem.lower()] > 1 or not stem]
        for path in doubles:
            digest = hashlib.sha256(path.encode()).hexdigest()[:digits]
            base = _ascii_stem(path)[: _MAX_STEM - digits - 1]
            stems[path] = f"{base}-{digest}" if base else f"image-{digest}"[:_MAX_STEM]
        if not doubles:
            break
    return stems


def _suffix(image: DatasetImage) -> str:
    return ".png" if image.converted else SUFFIXES[image.format]


def _ascii_stem(path: str) -> str:
    # pathlib takes thirty times as long, and no path of an archive has such parts.
    stem = PurePosixPath(path).stem if _ODD_PARTS.search(path) else bare_of(base_of(path))
    plain = stem if stem.isascii() else unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return _NOT_IN_A_STEM.sub("_", plain).strip("_-")[:_MAX_STEM]


def _data_yaml(classes: list[str], splits: dict[str, str]) -> str:
    # Without `path`, ultralytics looks for the images beside the file; it takes "." for the current folder.
    content: dict[str, object] = {"train": "images/train", "val": "images/val"}
    if "test" in splits.values():
        content["test"] = "images/test"
    content["names"] = dict(enumerate(classes))
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
