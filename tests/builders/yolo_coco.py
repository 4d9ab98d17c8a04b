"""The dataset of `tests.builders.voc` as YOLO and as COCO, valid or with one known fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.builders.voc import SIZE, Files, image_bytes, voc_files, zip_files

LABEL = "labels/train/p00.txt"
YAML = "data.yaml"
JSON = "train/_annotations.coco.json"
Content = dict[str, Any]

DATA_YAML = b"path: ../sets\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: ball\n  1: cube\n"


def yolo_files(*, images: int = 12, wrap: str = "") -> Files:
    """Every fourth image is in val. Each has a box of each class."""
    files: Files = {f"{wrap}{YAML}": DATA_YAML}
    for number in range(images):
        split = "train" if number % 4 else "val"
        split = "train" if number == 0 else split
        files[f"{wrap}images/{split}/p{number:02d}.jpg"] = _image(number)
        lines = [f"{at} {0.3 + at * 0.3:.6f} {0.4 + number * 0.01:.6f} 0.25 0.3125" for at in (0, 1)]
        files[f"{wrap}labels/{split}/p{number:02d}.txt"] = ("\n".join(lines) + "\n").encode()
    return files


def coco_files(*, images: int = 12, wrap: str = "") -> Files:
    """As exported by Roboflow: a JSON beside the images of each split. Category ids have gaps."""
    files: Files = {}
    documents: dict[str, Content] = {}
    for number in range(images):
        split = "valid" if number % 4 == 3 else "train"
        name = f"p{number:02d}.jpg"
        files[f"{wrap}{split}/{name}"] = _image(number)
        document = documents.setdefault(split, {"info": {"year": 2026}, "images": [], "annotations": []})
        document["images"].append({"id": number * 7, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for at, category in enumerate((3, 90)):
            box = [10.5 + 30 * at, 12 + number, 24, 20.25]
            entry = {"id": number * 2 + at, "image_id": number * 7, "category_id": category, "bbox": box, "iscrowd": 0}
            document["annotations"].append(entry)
    for split, document in documents.items():
        document["categories"] = [{"id": 3, "name": "ball"}, {"id": 90, "name": "cube"}]
        files[f"{wrap}{split}/_annotations.coco.json"] = dump(document)
    return files


def dump(document: Any) -> bytes:
    """One entry per line, so that findings have a line."""
    lines = ["{"]
    for key, value in document.items():
        if isinstance(value, list):
            lines += [f'"{key}": [', *(f"{json.dumps(each)}," for each in value[:-1]), json.dumps(value[-1]), "],"]
        else:
            lines.append(f'"{key}": {json.dumps(value)},')
    return "\n".join([*lines[:-1], lines[-1].rstrip(","), "}", ""]).encode()


def yolo_zip(path: Path, *, broken: str | None = None) -> Path:
    return _zip(path, yolo_files(), YOLO_FAULTS, broken)


def coco_zip(path: Path, *, broken: str | None = None) -> Path:
    return _zip(path, coco_files(), COCO_FAULTS, broken)


def _zip(path: Path, files: Files, faults: dict[str, Callable[[Files], None]], broken: str | None) -> Path:
    if broken:
        faults[broken](files)
    return zip_files(path, files)


def _image(number: int) -> bytes:
    return voc_files(images=number + 1)[f"images/p{number:02d}.jpg"]


def _label(line: str) -> Callable[[Files], None]:
    """Image 0 has this line besides its two good ones."""

    def break_it(files: Files) -> None:
        files[LABEL] += f"{line}\n".encode()

    return break_it


def _yaml(old: bytes, new: bytes) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        assert old in files[YAML]
        files[YAML] = files[YAML].replace(old, new)

    return break_it


def _put(name: str, content: bytes) -> Callable[[Files], None]:
    return lambda files: files.update({name: content})


def _drop(name: str) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        del files[name]

    return break_it


def _json(change: Callable[[Content], object]) -> Callable[[Files], None]:
    def break_it(files: Files) -> None:
        document = json.loads(files[JSON])
        change(document)
        files[JSON] = dump(document)

    return break_it


def _box(**changes: Any) -> Callable[[Files], None]:
    """An annotation of image 0 besides its good ones; None removes a member."""

    def change(document: Content) -> None:
        entry = {"id": 777, "image_id": 0, "category_id": 3, "bbox": [5, 5, 30, 30]} | changes
        document["annotations"].append({name: value for name, value in entry.items() if value is not None})

    return _json(change)


YOLO_FAULTS: dict[str, Callable[[Files], None]] = {
    "not_a_number": _label("0 0.5 abc 0.1 0.1"),
    "nan": _label("0 0.5 nan 0.1 0.1"),
    "four_columns": _label("0 0.5 0.5 0.1"),
    "eight_columns": _label("0 0.5 0.5 0.1 0.1 0.2 0.2 0.3"),
    "commas": _label("0,0.5,0.5,0.2,0.2"),
    "commas_and_blanks": _label("0, 0.5, 0.5, 0.2, 0.2"),
    "class_unknown": _label("2 0.5 0.5 0.1 0.1"),
    "class_negative": _label("-1 0.5 0.5 0.1 0.1"),
    "class_name": _label("ball 0.5 0.5 0.1 0.1"),
    "pixels": _label("0 48 32 20 20"),
    "outside": _label("0 1.5 0.5 0.1 0.1"),
    "mostly_outside": _label("0 1.0 1.0 0.4 0.4"),
    "over_the_edge": _label("0 0.9 0.5 0.3 0.3"),
    "negative_side": _label("0 0.5 0.5 -0.2 0.2"),
    "no_area": _label("0 0.5 0.5 0 0.2"),
    "twice": _label("0 0.300000 0.400000 0.25 0.3125"),
    "elongated": _label("0 0.5 0.5 0.99 0.0001"),
    "whole_image": _label("0 0.5 0.5 1 1"),
    "polygon": _label("0 0.2 0.2 0.4 0.2 0.4 0.5"),
    "confidence": _label("0 0.55 0.5 0.1 0.1 0.87"),
    "label_missing": _drop(LABEL),
    "label_empty": _put(LABEL, b""),
    "image_missing": _drop("images/train/p00.jpg"),
    "label_lost": _put("labels/train/lost.txt", b"0 0.5 0.5 0.1 0.1\n"),
    "image_text": _put("images/train/p00.jpg", b"no image"),
    "download": _yaml(b"nc: 2", b"nc: 2\ndownload: import os; os.system('touch /tmp/pwned')"),
    "count_differs": _yaml(b"nc: 2", b"nc: 3"),
    "path_missing": _yaml(b"val: images/val", b"val: images/nowhere"),
    "same_folder": _yaml(b"val: images/val", b"val: images/train"),
    "key_twice": _yaml(b"nc: 2", b"nc: 2\nnc: 2"),
    "names_twice": _yaml(b"1: cube", b"1: ball"),
    "name_empty": _yaml(b"1: cube", b"1: ''"),
    "names_nested": _yaml(b"1: cube", b"1: [cube]"),
    "names_missing": _yaml(b"names:\n  0: ball\n  1: cube\n", b""),
    "name_unused": _yaml(b"nc: 2\nnames:\n", b"nc: 3\nnames:\n  2: cone\n"),
    "yaml_broken": _yaml(b"nc: 2", b"nc: [2"),
    "yaml_alias": _yaml(b"nc: 2", b"a: &a [1]\nb: [*a, *a]"),
    "yaml_tag": _yaml(b"  1: cube", b"  1: !!python/object/apply:os.system [exit]"),
    "yaml_list": _put(YAML, b"- ball\n- cube\n"),
    "second_yaml": _put("other/data.yaml", b"names: [x, y]\n"),
}

COCO_FAULTS: dict[str, Callable[[Files], None]] = {
    "cut": lambda files: files.update({JSON: files[JSON][: len(files[JSON]) // 2]}),
    "latin": lambda files: files.update({JSON: files[JSON].replace(b"cube", b"c\xfcbe")}),
    "category_unknown": _box(category_id=4),
    "image_unknown": _box(image_id=12345),
    "image_id_missing": _box(image_id=None),
    "box_missing": _box(bbox=None),
    "box_three": _box(bbox=[1, 2, 3]),
    "box_text": _box(bbox=[1, 2, "3", 4]),
    "box_nan": _box(bbox=[1, 2, float("nan"), 4]),
    "box_negative": _box(bbox=[40, 20, -30, 20]),
    "box_zero": _box(bbox=[40, 20, 0, 20]),
    "box_outside": _box(bbox=[200, 20, 20, 20]),
    "box_clipped": _box(bbox=[80, 20, 30, 20]),
    "crowd": _box(iscrowd=1),
    "polygon": _box(bbox=None, segmentation=[[10, 10, 40, 10, 40, 30]]),
    "annotation_id_twice": _box(id=1),
    "image_id_twice": _json(lambda d: d["images"].append(d["images"][0] | {"file_name": "p01.jpg"})),
    "image_missing": _json(lambda d: d["images"].append({"id": 999, "file_name": "none.jpg", "width": 9, "height": 9})),
    "image_listed_twice": _json(lambda d: d["images"].append(d["images"][0] | {"id": 998})),
    "image_unlisted": _put("train/more.jpg", image_bytes(seed=50)),
    "size_wrong": _json(lambda d: d["images"][0].update(width=960)),
    "size_missing": _json(lambda d: d["images"][0].pop("width")),
    "size_negative": _json(lambda d: d["images"][0].update(width=-96)),
    "category_id_twice": _json(lambda d: d["categories"].append({"id": 3, "name": "cone"})),
    "category_nameless": _json(lambda d: d["categories"].append({"id": 4, "name": " "})),
    "category_name_twice": _json(lambda d: d["categories"].append({"id": 4, "name": "ball"})),
    "category_spaces": _json(lambda d: d["categories"][0].update(name="ball\t")),
    "category_unused": _json(lambda d: d["categories"].append({"id": 4, "name": "cone"})),
}
