"""Formats in any folder: YOLO and COCO in every usual arrangement, several formats at once, and none."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from pipeline.params.formats import CATALOGUE
from tests.builders.voc import Files, image_bytes, voc_files, zip_files
from tests.builders.yolo_coco import coco_files, dump, yolo_files


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir(exist_ok=True)
    source, findings = extract(
        zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None
    )
    return read_dataset(source, findings)


def _pairs(dataset: Dataset) -> dict[str, str | None]:
    return {item.image.name: item.annotation for item in dataset.items}


LINE = b"0 0.5 0.5 0.25 0.25\n"


@pytest.mark.parametrize(
    ("image_name", "label"),
    [
        ("images/train/{}.jpg", "labels/train/{}.txt"),
        ("train/images/{}.jpg", "train/labels/{}.txt"),
        ("a/b/set/images/{}.jpg", "a/b/set/labels/{}.txt"),
        ("obj_train_data/{}.jpg", "obj_train_data/{}.txt"),
        ("{}.jpg", "{}.txt"),
        ("pics/{}.jpg", "yolo labels/{}.txt"),
    ],
)
def test_labels_find_their_images_in_every_usual_place(tmp_path: Path, image_name: str, label: str) -> None:
    files: Files = {}
    for name in ("1", "2", "3"):
        files |= {image_name.format(name): image_bytes(seed=int(name)), label.format(name): LINE}
    dataset = _read(tmp_path, files | {"README.roboflow.txt": b"hello", "x/classes.txt": b"ball\n"})
    assert dataset.format == "yolo"
    assert _pairs(dataset) == {image_name.format(name): label.format(name) for name in ("1", "2", "3")}
    assert {box.label for item in dataset.items for box in item.boxes} == {"ball"}


@pytest.mark.parametrize(
    "yaml",
    [
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n",  # Roboflow
        "path: /home/me/sets/balls\ntrain: train/images\nval: valid/images\ntest: test/images\n",
        "train: C:\\\\sets\\\\train\\\\images\nval: [valid/images]\ntest: ./test\n",
        "train: nowhere\nval: nothing\n",  # then by the folders
        "",
    ],
)
def test_a_given_split_is_kept_for_any_path_in_the_yaml(tmp_path: Path, yaml: str) -> None:
    files: Files = {"set/data.yaml": f"{yaml}names: [ball]\n".encode()}
    for number, part in enumerate(("train", "train", "valid", "test")):
        files[f"set/{part}/images/{number}.jpg"] = image_bytes(seed=number)
        files[f"set/{part}/labels/{number}.txt"] = LINE
    dataset = _read(tmp_path, files)
    assert {item.image.name[-5]: item.split for item in dataset.items} == dict(
        zip("0123", ("train", "train", "val", "test"), strict=True)
    )


@pytest.mark.parametrize("others", [{}, {"valid/classes.txt": b"cone\nred ball\ncube\n"}])
def test_a_darknet_export_of_roboflow_names_its_classes(tmp_path: Path, others: Files) -> None:
    files: Files = dict(others)
    for number, part in enumerate(("train", "train", "valid")):
        files |= {f"{part}/{number}.jpg": image_bytes(seed=number), f"{part}/{number}.txt": LINE.replace(b"0", b"1", 1)}
        files[f"{part}/_darknet.labels"] = b"cone\nred ball\n"
    dataset = _read(tmp_path, files)
    assert [item.boxes[0].label for item in dataset.items] == ["red ball"] * 3
    assert {finding.code for finding in dataset.findings} == {"class-unused"}


def test_lists_of_images_give_the_split(tmp_path: Path) -> None:
    files: Files = {"data.yaml": b"train: autosplit_train.txt\nval: autosplit_val.txt\nnames: [ball]\n"}
    for number in range(3):
        files |= {f"images/{number}.jpg": image_bytes(seed=number), f"labels/{number}.txt": LINE}
    files |= {"autosplit_train.txt": b"./images/0.jpg\n./images/1.jpg\n", "autosplit_val.txt": b"./images/2.jpg\n"}
    assert [item.split for item in _read(tmp_path, files).items] == ["train", "train", "val"]


def test_names_stay_text_where_yaml_would_convert_them(tmp_path: Path) -> None:
    files: Files = {"data.yaml": b"names: [no, 1.10, 2020-01-01, null, !!str 7, ! 8]\n"}
    for number in range(6):
        files |= {f"{number}.jpg": image_bytes(seed=number), f"{number}.txt": LINE.replace(b"0 ", b"%d " % number, 1)}
    labels = [item.boxes[0].label for item in _read(tmp_path, files).items]
    assert labels == ["no", "1.10", "2020-01-01", "null", "7", "8"]


def test_of_the_coco_archive_only_the_instances_are_read(tmp_path: Path) -> None:
    files: Files = {}
    for split, number in (("train", 1), ("train", 2), ("val", 3)):
        files[f"coco/{split}2017/{number:012d}.jpg"] = image_bytes(seed=number)
    for split, numbers in (("train", (1, 2)), ("val", (3,))):
        content: dict[str, Any] = {
            "info": {},
            "images": [],
            "annotations": [],
            "categories": [{"id": 18, "name": "dog"}],
        }
        for number in numbers:
            content["images"].append({"id": number, "file_name": f"{number:012d}.jpg", "width": 96, "height": 64})
            box = {"id": number, "image_id": number, "category_id": 18, "bbox": [1.5, 2, 30.25, 20]}
            content["annotations"].append(box)
        files[f"coco/annotations/instances_{split}2017.json"] = json.dumps(content).encode()
        files[f"coco/annotations/person_keypoints_{split}2017.json"] = dump(content)
        del content["categories"]
        files[f"coco/annotations/captions_{split}2017.json"] = dump(content)
    dataset = _read(tmp_path, files)
    assert [item.split for item in dataset.items] == ["train", "train", "val"]
    assert [tuple(item.boxes[0][:5]) for item in dataset.items] == [("dog", 1500, 2000, 31750, 22000)] * 3
    assert [finding.code for finding in dataset.findings] == ["json-left-out"]
    assert dataset.findings[0].detail.startswith("4 JSON files were left out")


def test_equal_names_in_two_splits_go_to_the_json_of_their_split(tmp_path: Path) -> None:
    files = coco_files(images=8)
    files = {name.replace("p07", "p00").replace("p03", "p01"): content for name, content in files.items()}
    files = {name: content.replace(b"p07", b"p00").replace(b"p03", b"p01") for name, content in files.items()}
    dataset = _read(tmp_path, files)
    assert [finding for finding in dataset.findings if finding.severity == "error"] == []
    assert all(str(item.annotation).startswith(item.image.name.split("/")[0]) for item in dataset.items)


@pytest.mark.parametrize("kept", [12, 5])
def test_of_several_formats_the_most_complete_one_is_read_and_reported(tmp_path: Path, kept: int) -> None:
    files = voc_files()
    for number in range(12):
        files[f"labels/p{number:02d}.txt"] = LINE
    for number in range(kept, 12):
        del files[f"annotations/p{number:02d}.xml"]
    dataset = _read(tmp_path, files)
    assert dataset.format == ("voc" if kept == 12 else "yolo"), "of equals, the one with more boxes"
    assert [finding.detail for finding in dataset.findings if finding.code == "formats-several"] == [
        f"The archive has several formats: voc describes {kept} images, yolo describes 12 images. "
        f"{dataset.format} is read, the others are left out."
    ]


def test_files_that_could_be_executed_are_never_written(tmp_path: Path) -> None:
    unsafe = {"labels/train.cache": b"\x80\x04pickle", "images/a.npy": b"\x93NUMPY", "best.pt": b"PK", "a.py": b"1"}
    files = yolo_files() | unsafe
    dataset = _read(tmp_path, files)
    assert len(dataset.items) == 12
    (written,) = (tmp_path / "into").iterdir()
    assert not [content for content in unsafe.values() if len(content) > 2 and content in written.read_bytes()]


def test_an_archive_without_a_format_lists_what_each_format_misses(tmp_path: Path) -> None:
    files: Files = {
        "a.jpg": image_bytes(),
        "pom.xml": b"<project/>",
        "notes.txt": b"hello there",
        "package.json": b"{}",
    }
    with pytest.raises(Rejected) as rejected:
        _read(tmp_path, files)
    tried = rejected.value.problem.facts["tried"]
    assert list(tried) == list(CATALOGUE)
    assert "1 XML file, none with <annotation>" in tried["voc"] and "1 text file, none beginning" in tried["yolo"]
    assert "1 JSON file, none with `images`, `annotations` and `categories`" in tried["coco"]


def test_a_prepared_dataset_uploaded_again_has_the_same_content(tmp_path: Path) -> None:
    first = zip_files(tmp_path / "first.zip", voc_files())
    assert run(["prepare", str(first), str(tmp_path / "one"), "--processes", "1"]) == 0
    tree = tmp_path / "one" / "tree"
    files = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    again = zip_files(tmp_path / "again.zip", files)
    assert run(["prepare", str(again), str(tmp_path / "two"), "--processes", "1"]) == 0
    one, two = (json.loads((tmp_path / name / "tree" / "manifest.json").read_text()) for name in ("one", "two"))

    def content_of(manifest: dict[str, Any]) -> dict[str, Any]:
        return {image["sha256"]: (image["split"], image["boxes"]) for image in manifest["images"]}

    assert content_of(one) == content_of(two) and one["classes"] == two["classes"]
