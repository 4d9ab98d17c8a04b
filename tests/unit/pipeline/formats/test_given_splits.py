"""Given splits: lists of any paths, names of folders, and what is reported where one has no effect."""

from pathlib import Path
from unicodedata import normalize

import pytest

from core.domain.findings import Severity
from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from pipeline.formats.split_names import split_of_folder
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.class_folders import folder_files
from tests.builders.one_camera import one_camera
from tests.builders.voc import Files, annotation, image_bytes, voc_zip, zip_files

LINE = b"0 0.5 0.5 0.25 0.25\n"
BOX = ("ball", 5.0, 5.0, 30.0, 30.0)


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    source, findings = extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)
    return read_dataset(source, findings)


@pytest.mark.parametrize(
    "line",
    [
        "/home/kim/set/{cam}/images/{at}.jpg",
        "C:\\sets\\{cam}\\images\\{at}.jpg",
        "./{cam}/images/{at}.jpg",
        "../set/{cam}/images/{at}.jpg",
        "set/{cam}/images/{at}.jpg",
        "{cam}/images/{at}",
        "set/{cam}/images/{at}.jpg 1",
        "{cam}%2Fimages/{at}.jpg",
    ],
)
def test_the_longest_common_end_decides_which_image_a_line_means(tmp_path: Path, line: str) -> None:
    files: Files = {"set/data.yaml": b"train: /home/kim/set/train.txt\nval: /home/kim/set/val.txt\nnames: [crate]\n"}
    for seed, (cam, part) in enumerate({"cam1": "train", "cam2": "val"}.items()):
        for at in range(3):
            files[f"set/{cam}/images/{at}.jpg"] = image_bytes(seed=10 * seed + at)
            files[f"set/{cam}/labels/{at}.txt"] = LINE
        files[f"set/{part}.txt"] = "\n".join(line.format(cam=cam, at=at) for at in range(3)).encode()
    dataset = _read(tmp_path, files)
    assert {(item.image.name.split("/")[1], item.split) for item in dataset.items} == {
        ("cam1", "train"),
        ("cam2", "val"),
    }
    assert not [finding for finding in dataset.findings if finding.code.startswith("split-")]


def test_a_line_that_could_be_several_images_is_reported(tmp_path: Path) -> None:
    files: Files = {"train.txt": b"0\n1\n", "val.txt": b"b/2\n", "classes.txt": b"crate\n"}
    for seed, name in enumerate(["a/0", "b/0", "a/1", "b/2"]):
        files |= {f"{name}.jpg": image_bytes(seed=seed), f"{name}.txt": LINE}
    dataset = _read(tmp_path, files)
    assert [item.split for item in dataset.items] == ["train", "train", "train", "val"]
    assert [(each.code, each.line) for each in dataset.findings if each.code.startswith("split")] == [
        ("split-list-ambiguous", 1)
    ]


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
@pytest.mark.parametrize("zipped", ["NFC", "NFD"])
def test_names_are_compared_after_nfc(tmp_path: Path, zipped: str, listed: str) -> None:
    files: Files = {}
    names = ["K\u00e4se", "M\u00fcsli", "\u00d6l"]
    for seed, name in enumerate(names):
        inside, outside = normalize(listed, name), normalize(zipped, name)
        files[f"JPEGImages/{outside}.jpg"] = image_bytes(seed=seed)
        files[f"Annotations/{outside}.xml"] = annotation(f"{inside}.jpg", [BOX])
    files["ImageSets/Main/train.txt"] = normalize(listed, "\n".join(names[:2])).encode()
    files["ImageSets/Main/val.txt"] = normalize(listed, names[2]).encode()
    dataset = _read(tmp_path, files)
    assert {item.image.name[11:-4]: item.split for item in dataset.items} == dict(
        zip(names, ["train", "train", "val"], strict=True)
    )
    assert not dataset.findings


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("eval", "val"),
        ("Evaluation", "val"),
        ("dev", "val"),
        ("holdout", "val"),
        ("hold_out", "val"),
        ("eval_set", "val"),
        ("train", "train"),
        ("test2017", "test"),
        ("evaluate me", None),
        ("trained", None),
    ],
)
def test_the_names_of_parts(name: str, split: str | None) -> None:
    assert split_of_folder(name) == split


@pytest.mark.parametrize("unknown", ["later", "heldback images", "part2"])
def test_an_unknown_folder_beside_train_is_named(tmp_path: Path, unknown: str) -> None:
    files: Files = {}
    for seed, folder in enumerate(["train", "train", unknown]):
        files[f"boats/{folder}/{seed}.jpg"] = image_bytes(seed=seed)
        files[f"boats/{folder}/{seed}.xml"] = annotation(f"{seed}.jpg", [BOX])
    findings = [each for each in _read(tmp_path, files).findings if each.code == "split-folder-unknown"]
    assert [each.path for each in findings] == [f"boats/{unknown}"]
    assert findings[0].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("folders", "merged"),
    [
        (("potato/healthy", "potato/blight", "tomato/healthy", "tomato/blight"), True),
        (("train/healthy", "train/blight", "test/healthy", "test/blight"), False),
        (("potato/healthy", "tomato/blight"), False),
        (("a/train/cat", "a/test/cat", "b/train/cat", "b/test/dog"), True),
        (("cat/images", "dog/images"), False),
        (("seg_train/cat", "seg_train/dog", "seg_test/cat", "seg_test/dog"), False),
    ],
)
def test_class_folders_of_one_name_in_several_parents_are_reported(
    tmp_path: Path, folders: tuple[str, ...], merged: bool
) -> None:
    dataset = _read(tmp_path, folder_files(each=4, classes=folders, wrap="leaves/"))
    assert ("class-folders-merged" in {each.code for each in dataset.findings}) == merged


def test_a_class_named_like_a_part_is_reported(tmp_path: Path) -> None:
    sets = ((("cat", "dog", "test"), True), (("cat", "dog"), False), (("train/cat", "train/dog", "test/cat"), False))
    for classes, warned in sets:
        dataset = _read(_made(tmp_path / "-".join(classes).replace("/", "_")), folder_files(each=3, classes=classes))
        assert ("class-named-like-part" in {each.code for each in dataset.findings}) == warned


def test_a_folder_of_the_same_classes_beside_a_part_is_named(tmp_path: Path) -> None:
    dataset = _read(tmp_path, folder_files(each=3, classes=("val/cat", "val/dog", "more/cat", "more/dog")))
    assert [each.path for each in dataset.findings if each.code == "split-folder-unknown"] == ["more"]
    assert {(item.image.name.split("/")[0], item.split) for item in dataset.items} == {("val", "val"), ("more", None)}


def test_images_of_one_fixed_camera_are_split_by_the_order_of_names(tmp_path: Path) -> None:
    archive, options = zip_files(tmp_path / "belt.zip", one_camera(20)), PrepareOptions(split="sequence")
    dataset = validate_archive(archive, _made(tmp_path / "a"), options, processes=1, steps=StageReporter())
    by_number = {int(image.name[5:-4]): dataset.splits[image.path] for image in dataset.images}
    assert [by_number[at] for at in range(20)] == ["train"] * 14 + ["val"] * 4 + ["test"] * 2
    again = validate_archive(archive, _made(tmp_path / "b"), options, processes=1, steps=StageReporter())
    assert again.digests == dataset.digests


def test_another_set_can_be_split_by_the_order_of_names(tmp_path: Path) -> None:
    options = PrepareOptions(split="sequence", test_fraction=0)
    archive = voc_zip(tmp_path / "a.zip")
    dataset = validate_archive(archive, _made(tmp_path / "a"), options, processes=1, steps=StageReporter())
    assert sorted(dataset.splits.values()) == ["train"] * 10 + ["val"] * 2


def _made(path: Path) -> Path:
    path.mkdir()
    return path
