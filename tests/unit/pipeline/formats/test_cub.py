"""CUB-200: the tables give the classes and the split; boxes beside them do not make it a set of YOLO labels."""

from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import cub_files
from tests.builders.voc import Files, zip_files


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir(exist_ok=True)
    source, findings = extract(
        zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None
    )
    return read_dataset(source, findings)


def test_classes_and_split_are_those_of_the_tables(tmp_path: Path) -> None:
    dataset = _read(tmp_path, cub_files(6))
    assert (dataset.kind, dataset.format) == ("classification", "cub")
    assert [item.label for item in dataset.items] == ["001.Black_footed_Gull"] * 3 + ["002.Laysan_Gull"] * 3
    assert [item.split for item in dataset.items] == ["test", *["train"] * 5]
    assert not dataset.broken
    assert [(each.code, each.path) for each in dataset.findings] == [("annotations-left-out", "CUB/bounding_boxes.txt")]


def test_the_table_and_not_the_folder_is_the_class(tmp_path: Path) -> None:
    files = {name.replace("002.Laysan_Gull/", "001.Black_footed_Gull/"): text for name, text in cub_files().items()}
    files["CUB/images.txt"] = files["CUB/images.txt"].replace(b"002.Laysan_Gull/", b"001.Black_footed_Gull/")
    labels = {item.image.name[-8:]: item.label for item in _read(tmp_path, files).items}
    assert labels["0001.jpg"] == "002.Laysan_Gull"


def test_without_a_split_none_is_given(tmp_path: Path) -> None:
    files = cub_files()
    del files["CUB/train_test_split.txt"]
    assert {item.split for item in _read(tmp_path, files).items} == {None}


@pytest.mark.parametrize(
    ("table", "old", "new", "code", "line"),
    [
        ("image_class_labels.txt", b"2 2\n", b"2 9\n", "class-id-unknown", 2),
        ("image_class_labels.txt", b"2 2\n", b"2\n", "table-row-invalid", 2),
        ("image_class_labels.txt", b"2 2\n", b"1 2\n", "table-row-invalid", 2),
        ("images.txt", b"Gull_0001.jpg", b"Gull_0009.jpg", "image-missing", 2),
        ("images.txt", b"Gull_0001.jpg", b"\xff\xfe.jpg", "text-encoding", 2),
        ("classes.txt", b"Laysan", b"x" * 200, "class-name-too-long", 2),
        ("classes.txt", b"Laysan", b"\x01", "class-name-invalid", 2),
        ("train_test_split.txt", b"2 1\n", b"2 7\n", "table-row-invalid", 2),
    ],
)
def test_an_error_names_the_table_and_its_line(
    tmp_path: Path, table: str, old: bytes, new: bytes, code: str, line: int
) -> None:
    files = cub_files()
    assert old in files[f"CUB/{table}"]
    files[f"CUB/{table}"] = files[f"CUB/{table}"].replace(old, new, 1)
    found = [(each.code, each.line) for each in _read(tmp_path, files).findings if each.severity == "error"]
    assert (code, line) in found
