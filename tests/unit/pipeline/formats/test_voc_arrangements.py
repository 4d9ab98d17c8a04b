"""VOC is found in any folders, pairs are made by folder and name, and given splits are read."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset, voc
from pipeline.formats.given_split import give_split
from tests.builders.voc import Files, annotation, image_bytes, zip_files

BOX = ("ball", 5.0, 5.0, 30.0, 30.0)


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    source, _ = extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)
    assert voc.matches(source) is None
    dataset = voc.read(source)
    given = give_split(source, dataset)
    return replace(dataset, items=given.items, findings=dataset.findings + given.findings)


def _pairs(dataset: Dataset) -> dict[str, str | None]:
    return {item.image.name: item.annotation for item in dataset.items}


@pytest.mark.parametrize(
    ("image_name", "xml"),
    [
        ("VOC2012/JPEGImages/{}.jpg", "VOC2012/Annotations/{}.xml"),
        ("images/{}.jpg", "annotations/{}.xml"),
        ("{}.jpg", "annots/{}.xml"),
        ("{}.jpg", "{}.xml"),
        ("a/b/c/images/{}.jpg", "a/b/c/images/annots/{}.xml"),
        ("images/train/{}.jpg", "annotations/train/{}.xml"),
        ("train/images/{}.jpg", "train/labels/xml/{}.xml"),
        ("pics (1)/\u00e9t\u00e9 {}.JPG", "notes/\u00e9t\u00e9 {}.XML"),
    ],
)
def test_pairs_are_found_in_every_usual_place(tmp_path: Path, image_name: str, xml: str) -> None:
    files: Files = {}
    for name in ("1", "2", "3"):
        files[image_name.format(name)] = image_bytes(seed=int(name))
        files[xml.format(name)] = annotation(f"{name}.jpg", [BOX])
    dataset = _read(tmp_path, files)
    assert _pairs(dataset) == {image_name.format(name): xml.format(name) for name in ("1", "2", "3")}


def test_equal_names_in_several_folders_stay_with_their_own(tmp_path: Path) -> None:
    files: Files = {}
    for seed, place in enumerate(("train", "valid", "test")):
        files[f"{place}/images/1.jpg"] = image_bytes(seed=seed)
        files[f"{place}/annots/1.xml"] = annotation("1.jpg", [BOX])
    dataset = _read(tmp_path, files)
    assert _pairs(dataset) == {f"{p}/images/1.jpg": f"{p}/annots/1.xml" for p in ("train", "valid", "test")}
    assert {item.image.name[:2]: item.split for item in dataset.items} == {"tr": "train", "va": "val", "te": "test"}


def test_an_annotation_without_image_does_not_take_that_of_another_folder(tmp_path: Path) -> None:
    files = {
        "test/1.xml": annotation("1.jpg", [BOX]),
        "train/1.jpg": image_bytes(),
        "train/1.xml": annotation("1.jpg", [BOX]),
    }
    dataset = _read(tmp_path, files)
    assert _pairs(dataset) == {"train/1.jpg": "train/1.xml"}
    assert [(f.code, f.path) for f in dataset.findings] == [("image-missing", "test/1.xml")]


@pytest.mark.parametrize("filename", ["photo.jpg", "photo", "C:\\Users\\me\\photo.jpg", "/home/me/photo.jpg"])
def test_a_filename_finds_the_image_where_the_names_differ(tmp_path: Path, filename: str) -> None:
    files = {"images/photo.jpg": image_bytes(), "annotations/0001.xml": annotation(filename, [BOX])}
    assert _pairs(_read(tmp_path, files)) == {"images/photo.jpg": "annotations/0001.xml"}


def test_the_filename_decides_between_two_images_of_one_name(tmp_path: Path) -> None:
    files = {"a.jpg": image_bytes(), "a.png": image_bytes(format="PNG"), "a.xml": annotation("a.png", [BOX])}
    assert _pairs(_read(tmp_path, files)) == {"a.jpg": None, "a.png": "a.xml"}


def test_an_annotation_of_two_possible_images_is_an_error(tmp_path: Path) -> None:
    files = {"a.jpg": image_bytes(), "a.png": image_bytes(format="PNG"), "a.xml": annotation("a", [BOX])}
    dataset = _read(tmp_path, files)
    assert [finding.code for finding in dataset.findings] == ["image-ambiguous"]
    assert dataset.broken == {"a.jpg", "a.png"}


def test_image_sets_give_the_split(tmp_path: Path) -> None:
    files: Files = {}
    for number in range(5):
        files[f"VOC/JPEGImages/{number}.jpg"] = image_bytes(seed=number)
        files[f"VOC/Annotations/{number}.xml"] = annotation(f"{number}.jpg", [BOX])
    main = "VOC/ImageSets/Main"
    files |= {f"{main}/train.txt": b"0\r\n1\r\n", f"{main}/val.txt": b"2\n9\n", f"{main}/trainval.txt": b"0\n1\n2\n3\n"}
    files |= {f"{main}/test.txt": b"4\n1\n", f"{main}/ball_train.txt": b"0 -1\n"}
    dataset = _read(tmp_path, files)
    splits = {item.image.name[-5]: item.split for item in dataset.items}
    assert splits == {"0": "train", "1": "test", "2": "val", "3": "train", "4": "test"}
    assert [(f.code, f.path, f.line) for f in dataset.findings] == [
        ("split-list-unknown", f"{main}/val.txt", 2),
        ("split-conflict", f"{main}/test.txt", None),
    ]


def test_a_single_folder_named_train_is_not_a_split(tmp_path: Path) -> None:
    files = {"train/a.jpg": image_bytes(), "train/a.xml": annotation("a.jpg", [BOX])}
    assert [item.split for item in _read(tmp_path, files).items] == [None]


def test_segmentation_masks_are_not_images(tmp_path: Path) -> None:
    files = {
        "JPEGImages/a.jpg": image_bytes(),
        "Annotations/a.xml": annotation("a.jpg", [BOX]),
        "SegmentationClass/a.png": image_bytes(format="PNG"),
    }
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    source, _ = extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)
    dataset = read_dataset(source, [])
    assert _pairs(dataset) == {"JPEGImages/a.jpg": "Annotations/a.xml"}
    assert [finding.code for finding in dataset.findings] == ["masks-left-out"]


@pytest.mark.parametrize("folder", ["images", "imgs", "JPEGImages", "photos", "pictures"])
def test_of_two_images_of_one_name_the_one_in_a_folder_of_images_is_meant(tmp_path: Path, folder: str) -> None:
    files: Files = {}
    for name in ("1", "2", "3"):
        files[f"{folder}/{name}.jpg"] = image_bytes(seed=int(name))
        files[f"preview/{name}.jpg"] = image_bytes(seed=10 + int(name))
        files[f"labels/{name}.xml"] = annotation(f"{name}.jpg", [BOX])
    labelled = {image for image, label in _pairs(_read(tmp_path, files)).items() if label}
    assert labelled == {f"{folder}/{name}.jpg" for name in ("1", "2", "3")}


def test_a_rotated_box_of_rolabelimg_is_named(tmp_path: Path) -> None:
    rotated = b"<robndbox><cx>20</cx><cy>20</cy><w>10</w><h>6</h><angle>0.5</angle></robndbox>"
    xml = annotation("a.jpg", [BOX])
    start, end = xml.index(b"<bndbox>"), xml.index(b"</bndbox>") + len(b"</bndbox>")
    dataset = _read(tmp_path, {"a.jpg": image_bytes(), "a.xml": xml[:start] + rotated + xml[end:]})
    [finding] = [each for each in dataset.findings if each.code == "box-missing"]
    assert "<robndbox> of roLabelImg" in finding.detail and dataset.broken == {"a.jpg"}
