"""JSON Lines of boxes, and tables of classes: arrangements as they occur, and errors at their line."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset
from pipeline.formats import jsonl_boxes, read_dataset, table_classes
from tests.builders.listed import (
    azure_files,
    boxes_read,
    class_table_files,
    close,
    images,
    jsonl_files,
    truth,
)
from tests.builders.voc import Files, zip_files

CLASSES = {f"batch_{n % 2}/{n}.png": ("healthy" if n > 2 else "sick") for n in range(6)}


def _source(tmp_path: Path, files: Files) -> ExtractedArchive:
    (tmp_path / "into").mkdir(exist_ok=True)
    return extract(zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None)[0]


def _read(tmp_path: Path, files: Files) -> Dataset:
    return read_dataset(_source(tmp_path, files), [])


def _codes(dataset: Dataset) -> dict[str, tuple[str, int | None]]:
    return {finding.code: (finding.path, finding.line) for finding in dataset.findings}


def _labels(dataset: Dataset) -> dict[str, str | None]:
    return {item.image.name: item.label for item in dataset.items}


def _lines(*records: Any) -> bytes:
    return "\n".join(json.dumps(record) for record in records).encode()


@pytest.mark.parametrize("folder", ["images/", "", "a/b/"])
def test_boxes_of_azure_are_fractions_and_those_of_the_hub_pixels(tmp_path: Path, folder: str) -> None:
    boxes = truth(folder=folder)
    boxes[f"{folder}p03.jpg"] = []
    for files in (azure_files(boxes), jsonl_files(boxes)):
        dataset = _read(tmp_path, files)
        assert dataset.format == "jsonl" and not dataset.broken
        assert close(boxes_read(dataset), boxes)
        assert all(item.annotation for item in dataset.items)


def test_objects_may_be_a_list_and_crowds_are_left_out(tmp_path: Path) -> None:
    box = {"bbox": [1, 2, 30, 40], "category": "ball"}
    crowd = {"label": "ball", "topX": 0.1, "topY": 0.1, "bottomX": 0.5, "bottomY": 0.5, "isCrowd": 1}
    records = [{"file_name": "0.jpg", "objects": [box]}, {"image_url": "https://a.b/c/1.jpg?sig=x", "label": [crowd]}]
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"metadata.jsonl": _lines(*records)})
    assert close(boxes_read(dataset), {"0.jpg": [("ball", 1, 2, 31, 42)], "1.jpg": []})
    assert _codes(dataset)["crowds-left-out"] == ("metadata.jsonl", 2)


GOOD = {"file_name": "0.jpg", "objects": {"bbox": [[1, 2, 30, 40]], "categories": ["ball"]}}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 30, 40]], "categories": []}}', "json-entry-invalid"),
        (b'{"file_name": "1.jpg"}', "json-entry-invalid"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 30]], "categories": [1]}}', "box-missing"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [5], "categories": [1]}}', "box-missing"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, "4"]], "categories": [1]}}', "box-not-a-number"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, 1e99999]], "categories": [1]}}', "box-not-a-number"),
        (
            b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, 1e%s]], "categories": [1]}}' % (b"9" * 20),
            "box-not-a-number",
        ),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, NaN]], "categories": [1]}}', "box-not-a-number"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [null]}}', "class-name-empty"),
        (b'{"file_name": "1.jpg", "objects": {"bbox": [[0, 0, 0.5, 0.5]], "categories": ["a"]}}', "box-units-mixed"),
        (
            b'{"file_name": "1.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["\\ud800"]}}',
            "class-name-invalid",
        ),
        (b'{"file_name": "9.jpg", "objects": {"bbox": [[1, 2, 30, 40]], "categories": ["a"]}}', "image-missing"),
        (b'{"objects": {"bbox": [[1, 2, 30, 40]], "categories": ["a"]}}', "json-entry-invalid"),
        (b'{"file_name": "1.jpg", ', "json-invalid"),
        (b"[1, 2]", "json-invalid"),
        (b"[" * 100_000, "json-invalid"),
        (b'{"a": ' * 100_000, "json-invalid"),
        (b"9" * 10_000, "json-invalid"),
        (b'{"file_name": "\xff"}', "json-invalid"),
    ],
)
def test_an_error_in_json_lines_has_its_line_and_uses_no_label(tmp_path: Path, line: bytes, code: str) -> None:
    lines = _lines(GOOD) + b"\n" + line + b"\n"
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"metadata.jsonl": lines})
    path, number = _codes(dataset)[code]
    assert (path, number) == ("metadata.jsonl", 2) or line == b'{"file_name": "\xff"}'
    assert "1.jpg" in dataset.broken


def test_numbers_as_classes_are_a_warning(tmp_path: Path) -> None:
    record = {"file_name": "0.jpg", "objects": {"bbox": [[1, 2, 30, 40]], "categories": [3]}}
    dataset = _read(tmp_path, images(["0.jpg"]) | {"metadata.jsonl": _lines(record)})
    assert _codes(dataset)["class-names-missing"][0] == "metadata.jsonl"


@pytest.mark.parametrize("name", ["train/metadata.csv", "metadata.csv", "a/b c/metadata.csv"])
def test_the_table_gives_the_classes_and_not_the_folders(tmp_path: Path, name: str) -> None:
    dataset = _read(tmp_path, class_table_files(CLASSES, name=name))
    assert (dataset.kind, dataset.format) == ("classification", "table")
    folder = name.rpartition("/")[0]
    assert _labels(dataset) == {f"{folder}/{path}".lstrip("/"): label for path, label in CLASSES.items()}
    assert _codes(dataset)["table-columns"] == (name, 1)


@pytest.mark.parametrize(
    "table",
    [
        "file_name,label\n{}",
        "id,breed\n{}",
        "image;species;notes\n{};",
        "path\tclass\n{}",
        "﻿filename,label,split\n{},",
    ],
)
def test_tables_of_classes_in_their_usual_forms(tmp_path: Path, table: str) -> None:
    head, _, row = table.partition("\n")
    delimiter = next(each for each in ",;\t" if each in head)
    rows = [row.replace("{}", f"{path}{delimiter}{label}") for path, label in CLASSES.items()]
    files = images(CLASSES) | {"labels.csv": "\n".join([head, *rows]).encode()}
    assert _labels(_read(tmp_path, files)) == CLASSES


def test_classes_in_json_lines(tmp_path: Path) -> None:
    records = [{"image_url": f"AmlDatastore://store/{path}", "label": label} for path, label in CLASSES.items()]
    dataset = _read(tmp_path, images(CLASSES) | {"labels.jsonl": _lines(*records)})
    assert (dataset.format, _labels(dataset)) == ("table", CLASSES)


def test_a_split_of_tables_is_kept(tmp_path: Path) -> None:
    files = class_table_files(CLASSES, name="train/metadata.csv") | class_table_files(CLASSES, name="test/metadata.csv")
    splits = {item.image.name.split("/")[0]: item.split for item in _read(tmp_path, files).items}
    assert splits == {"train": "train", "test": "test"}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",sick", "table-row-invalid"),
        ("batch_0/0.png,", "class-name-empty"),
        ("batch_0/0.png,sick,1", "table-row-invalid"),
        ("nowhere.png,sick", "image-missing"),
        ("batch_1/1.png,sick", "image-annotated-twice"),
        (f"batch_0/0.png,{'x' * 201}", "class-name-too-long"),
        ('batch_0/0.png,"sick', "table-invalid"),
    ],
)
def test_an_error_in_a_table_of_classes_has_its_line(tmp_path: Path, row: str, code: str) -> None:
    files = class_table_files(CLASSES)
    lines = files["metadata.csv"].decode().split("\n")
    del lines[1]  # that of batch_0/0.png
    files["metadata.csv"] = "\n".join([*lines, row]).encode()
    assert _codes(_read(tmp_path, files))[code] == ("metadata.csv", 7)


@pytest.mark.parametrize(
    ("table", "missing"),
    [
        (b"file_name,text,notes\n0.jpg,a,b\n", "no column with classes"),
        (b"file_name,label\n9.jpg,a\n", "no name of an image of the archive"),
        (b"file_name,label\n0.jpg,0.25\n", "numbers instead of classes"),
        (b"file_name,label,xmin,ymin,xmax,ymax\n0.jpg,a,1,2,3,4\n", "it has columns of boxes"),
        (b"one column\n", "no CSV or JSON Lines files in the archive"),
    ],
)
def test_what_a_table_of_classes_is_missing_is_stated(tmp_path: Path, table: bytes, missing: str) -> None:
    assert missing in str(table_classes.matches(_source(tmp_path, images(["0.jpg"]) | {"t.csv": table})))


def test_a_submission_is_no_table_of_labels(tmp_path: Path) -> None:
    files = images(["0.jpg"]) | {"sample_submission.csv": b"id,label\n0,cat\n"}
    assert "submission" in str(table_classes.matches(_source(tmp_path, files)))


def test_json_lines_without_boxes_are_no_set_of_boxes(tmp_path: Path) -> None:
    files = images(["0.jpg"]) | {"a.jsonl": _lines({"file_name": "0.jpg", "text": "a ball"})}
    missing = jsonl_boxes.matches(_source(tmp_path, files))
    assert missing == "1 JSON Lines file, none with an image and its boxes in a line."


def test_unlisted_images_are_left_out_with_a_warning(tmp_path: Path) -> None:
    files = class_table_files(CLASSES) | images(["batch_0/extra.png"])
    dataset = _read(tmp_path, files)
    assert _labels(dataset)["batch_0/extra.png"] is None
