"""The files of a batch: what names, scores and boxes become in each of them."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.batch.answered import Answered
from pipeline.batch.files import BatchFiles
from pipeline.batch.images import BatchImage
from pipeline.batch.names import UniqueNames
from pipeline.batch.summary import FAILURES_LISTED, Summary
from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.predictor.metadata import ExportMetadata, Output, Preprocessing
from pipeline.predictor.predictor import Prediction, PredictionFailed

CLASSES = ("cat, black", "=dog", "../\u202eowl")
ODD = [
    "a,b.jpg",
    'q"uote.jpg',
    "two\nlines.jpg",
    "\u0635\u0648\u0631\u0629 \u202egpj.exe.jpg",
    "=1+1.jpg",
    "\u2028.jpg",
]
TIMES = {"decode": 1.0, "inference": 3.0}


def metadata(kind: Any) -> ExportMetadata:
    form: Any = "anchors" if kind == "detection" else "logits"
    return ExportMetadata(kind, CLASSES, Preprocessing(64, 64, "stretch", "linear"), Output(form), {})


def box(index: int, *corners: float, score: float = 0.5) -> PredictedBox:
    return PredictedBox(CLASSES[index], index, score, *corners)  # type: ignore[arg-type]


def answered(number: int, name: str, *boxes: PredictedBox, labels: tuple[PredictedLabel, ...] = ()) -> Answered:
    result = Prediction(100, 50, 1, boxes, labels, TIMES)
    return Answered(number, BatchImage(name, split="test"), b"\xff\xd8\xff image", result)


def written(folder: Path, kind: str, *images: Answered) -> Path:
    with BatchFiles(folder, model="cats/v1", metadata=metadata(kind), labelled=True) as files:
        for each in images:
            files.add(each)
    return folder


def failed(number: int, reason: str) -> Answered:
    return Answered(number, BatchImage(f"{number}.jpg"), b"", PredictionFailed(reason))


def test_names_in_the_table_are_texts_whatever_they_contain(tmp_path: Path) -> None:
    images = [answered(number, name, box(1, 1, 2, 3, 4)) for number, name in enumerate(ODD, start=1)]
    written(tmp_path, "detection", *images, answered(7, "none.jpg"), failed(8, "@no image,\nsee\u2029there"))
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["image"] for row in rows[:6]] == [f"'{name}" if name.startswith("=") else name for name in ODD]
    assert {row["label"] for row in rows[:6]} == {"'=dog"}
    assert [rows[0][name] for name in ("score", "x1", "y1", "x2", "y2", "split")] == ["0.5", "1", "2", "3", "4", "test"]
    assert [(row["label"], row["width"], row["error"]) for row in rows[6:]] == [
        ("", "100", ""),
        ("", "", "'@no image,\nsee\u2029there"),
    ]
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["image"] for line in lines] == [*ODD, "none.jpg", "8.jpg"], "one line an image"


def test_without_the_labelled_zip_files_name_the_images_as_they_came(tmp_path: Path) -> None:
    with BatchFiles(tmp_path, model="cats/v1", metadata=metadata("detection"), labelled=False) as files:
        files.add(answered(1, "left/a.jpg", box(1, 1, 2, 3, 4)))
        files.add(answered(2, "right/a.jpg"))
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [(line["image"], line["file"]) for line in lines] == [("left/a.jpg", None), ("right/a.jpg", None)]
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as table:
        assert {row["file"] for row in csv.DictReader(table)} == {""}
    coco = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert [each["file_name"] for each in coco["images"]] == ["left/a.jpg", "right/a.jpg"]
    assert not (tmp_path / "labelled.zip").exists()


def test_coco_has_every_box_once_with_its_score_and_images_without_boxes(tmp_path: Path) -> None:
    first = answered(1, "a.jpg", box(2, 1.23456, 2, 30, 50, score=0.75), box(0, 5, 5, 5.0001, 9))
    written(tmp_path, "detection", first, failed(2, "broken"), answered(3, "none.jpg"))
    coco = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert [(each["id"], each["name"]) for each in coco["categories"]] == [*enumerate(CLASSES, start=1)]
    assert [(each["id"], each["file_name"], each["width"]) for each in coco["images"]] == [
        (1, "images/a.jpg", 100),
        (3, "images/none.jpg", 100),
    ]
    assert [(each["bbox"], each["category_id"], each["score"]) for each in coco["annotations"]] == [
        ([1.235, 2, 28.765, 48], 3, 0.75)
    ], "the box without an area is no label"
    results = json.loads((tmp_path / "coco_results.json").read_text(encoding="utf-8"))
    assert [(each["image_id"], each["category_id"], each["score"]) for each in results] == [(1, 3, 0.75), (1, 1, 0.5)]
    with zipfile.ZipFile(tmp_path / "labelled.zip") as labelled:
        assert json.loads(labelled.read("annotations.json")) == coco
        assert labelled.namelist() == ["images/a.jpg", "images/none.jpg", "annotations.json"]


def test_coco_without_an_image_is_a_document_too(tmp_path: Path) -> None:
    written(tmp_path, "detection", failed(1, "broken"))
    coco = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert (coco["images"], coco["annotations"]) == ([], [])
    assert json.loads((tmp_path / "coco_results.json").read_text()) == []


def test_a_classified_image_lies_in_the_folder_of_its_class(tmp_path: Path) -> None:
    labels = tuple(PredictedLabel(CLASSES[index], index, 0.5 - index / 10) for index in (2, 1))
    images = answered(1, "x/a.jpg", labels=labels), answered(2, "y/a.jpg", labels=labels), answered(3, "unsure.jpg")
    written(tmp_path, "classification", *images)
    with zipfile.ZipFile(tmp_path / "labelled.zip") as labelled:
        assert labelled.namelist() == ["_..__owl/a.jpg", "_..__owl/a~2.jpg"]
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["file"] for line in lines] == ["_..__owl/a.jpg", "_..__owl/a~2.jpg", None]
    assert [label["score"] for label in lines[0]["labels"]] == [0.3, 0.4]
    assert not (tmp_path / "coco.json").exists()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("day/one.JPG", "one~2.JPG"),
        ("two.jpg", "two.jpg"),
        ("image", "image.png"),
        ("photo.php", "photo.php.png"),
        (".hidden.jpg", "_.hidden.jpg"),
        ("a\\..\\b.jpg", "a_.._b.jpg"),
        ("two\nlines\u202e.jpg", "two_lines_.jpg"),
        ("x" * 300 + ".png", "x" * 150 + ".png"),
        (" . .png", "_.png"),
    ],
)
def test_a_name_in_the_labelled_zip_is_valid_everywhere_and_unique(name: str, wanted: str) -> None:
    names = UniqueNames()
    names.of("one.jpg", b"")
    assert names.of(name, b"\x89PNG") == wanted


def test_a_summary_counts_all_and_lists_the_first_failures() -> None:
    summary = Summary()
    for number in range(30):
        summary.add(failed(number, "broken"))
    summary.add(answered(31, "a.jpg", box(0, 1, 1, 2, 2), box(0, 1, 1, 9, 9)))
    found = summary.as_json(kind="detection", seconds=1.5)
    assert (found["images"], found["failed"], found["boxes"], found["classes"]) == (31, 30, 2, {CLASSES[0]: 2})
    assert (len(found["failures"]), found["milliseconds"]) == (FAILURES_LISTED, TIMES)
