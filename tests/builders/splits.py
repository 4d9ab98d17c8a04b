"""The same images in several layouts, and the ways in which an archive states their split."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from unicodedata import normalize

from tests.builders.listed import CSV_HEADER, H, W
from tests.builders.voc import Files, annotation, image_bytes

STEMS = ("K\u00e4se0", "M\u00fcsli1", "plain2", "plain3", "\u00d6l4", "plain5")
TRUTH = dict(zip(STEMS, ("train", "train", "train", "train", "val", "test"), strict=True))
Paths = Mapping[str, str]  # stem -> path of the image
BOX = ("ball", 5, 5, 30, 30)


def paths(folder: str = "images/") -> dict[str, str]:
    return {stem: f"{folder}{stem}.jpg" for stem in STEMS}


def paths_by_part(words: Mapping[str, str], pattern: str) -> dict[str, str]:
    """`words`: part -> the word for it; `pattern`: of a path, with places for the word and the stem."""
    return {stem: pattern.format(words[part], stem) for stem, part in TRUTH.items()}


def voc_layout(images: Paths) -> Files:
    return _images(images) | {
        f"{path[:-4]}.xml": annotation(path.rpartition("/")[2], [BOX]) for path in images.values()
    }


def yolo_layout(images: Paths) -> Files:
    labels = {f"{path[:-4]}.txt": b"0 0.5 0.5 0.4 0.4\n" for path in images.values()}
    return _images(images) | labels | {"classes.txt": b"ball\n"}


def coco_layout(images: Paths) -> Files:
    return _images(images) | {"annotations/instances.json": coco_json(images)}


def csv_layout(images: Paths) -> Files:
    return _images(images) | {"annotations.csv": csv_table(images)}


def class_layout(images: Paths) -> Files:
    """Two classes below the folder of each image."""
    return {
        path.replace(f"{stem}.", f"{'ab'[at % 2]}{'cat'}/{stem}."): _image(at)
        for at, (stem, path) in enumerate(images.items())
    }


LAYOUTS: Mapping[str, Callable[[Paths], Files]] = {
    "voc": voc_layout,
    "yolo": yolo_layout,
    "coco": coco_layout,
    "csv": csv_layout,
    "folders": class_layout,
}


def coco_json(images: Paths) -> bytes:
    entries = [
        {"id": at, "file_name": path, "width": W, "height": H} for at, path in enumerate(images.values(), start=1)
    ]
    boxes = [
        {"id": entry["id"], "image_id": entry["id"], "category_id": 1, "bbox": [5, 5, 25, 25]} for entry in entries
    ]
    document = {"images": entries, "annotations": boxes, "categories": [{"id": 1, "name": "ball"}]}
    return json.dumps(document).encode()


def csv_table(images: Paths, column: Mapping[str, str] | None = None) -> bytes:
    """`column`: stem -> its part."""
    rows = [f"{CSV_HEADER},split" if column else CSV_HEADER]
    for stem, path in images.items():
        end = f",{column[stem]}" if column else ""
        rows.append(f"{path},{W},{H},ball,5,5,30,30{end}")
    return ("\n".join(rows) + "\n").encode()


WRITTEN: Mapping[str, Callable[[str], str]] = {  # how a line names an image
    "stem": lambda path: path.rpartition("/")[2][:-4],
    "name": lambda path: path.rpartition("/")[2],
    "path": lambda path: f"./{path}",
    "absolute": lambda path: f"/home/kim/sets/{path}",
    "Windows": lambda path: "D:\\sets\\" + path.replace("/", "\\"),
    "NFD": lambda path: normalize("NFD", path),
    "other case": lambda path: path.rpartition("/")[2].upper(),
}


def lists(images: Paths, words: Mapping[str, str], written: str = "path", *, name: str = "{}.txt") -> Files:
    """A list for each part. `images`: the paths as they are in the archive."""
    write = WRITTEN[written]
    return {
        name.format(word): "".join(f"{write(images[stem])}\n" for stem in STEMS if TRUTH[stem] == part).encode()
        for part, word in words.items()
    }


def in_archive(files: Files) -> dict[str, str]:
    """Stem -> path of the image."""
    return {name.rpartition("/")[2][:-4]: name for name in files if name.endswith(".jpg")}


def _images(images: Paths) -> Files:
    return {path: _image(at) for at, path in enumerate(images.values())}


@cache
def _image(seed: int) -> bytes:
    return image_bytes(seed=seed)
