"""Every format beside every kind of annotation that nothing reads: an error names the file, or one of its kind."""

import json
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import (
    FOREIGN_OF_ONE,
    FOREIGN_TABLES,
    H,
    Truth,
    W,
    choice_files,
    class_table_files,
    csv_files,
    cvat_files,
    foreign_files,
    images,
    jsonl_files,
    label_studio_files,
    labelme_files,
)
from tests.builders.roles import one_box
from tests.builders.voc import Files, zip_files

STEMS = [f"p{number:02d}" for number in range(8)]
NAMES = [f"images/{stem}.jpg" for stem in STEMS]
LABELLED = STEMS[:6]  # the last two have no label in the format that is read
BOXES: Truth = {f"images/{stem}.jpg": [("ant", 5.0, 5.0, 30.0, 30.0)] for stem in LABELLED}
CLASSES = {f"images/{stem}.jpg": ("ant", "bee")[number % 2] for number, stem in enumerate(LABELLED)}
COCO = {
    "images": [{"id": n, "file_name": f"{stem}.jpg", "width": W, "height": H} for n, stem in enumerate(LABELLED)],
    "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 20, 20]} for n in range(len(LABELLED))],
    "categories": [{"id": 1, "name": "ant"}],
}
OWN: dict[str, Files] = {
    "voc": {f"annotations/{stem}.xml": one_box(f"{stem}.jpg") for stem in LABELLED},
    "yolo": {"classes.txt": b"ant\n", **{f"labels/{stem}.txt": b"0 0.5 0.5 0.2 0.2\n" for stem in LABELLED}},
    "coco": {"instances.json": json.dumps(COCO).encode()},
    "cvat": cvat_files(BOXES),
    "labelme": labelme_files(BOXES),
    "label-studio": label_studio_files(BOXES),
    "csv": csv_files(BOXES, name="boxes.csv"),
    "jsonl": jsonl_files(BOXES),
    "label-studio-choices": choice_files(CLASSES),
    "table": class_table_files(
        {name.removeprefix("images/"): label for name, label in CLASSES.items()}, name="images/metadata.csv"
    ),
}
READ_AS_CLASSES = {("folders", "table.csv"), ("folders", "table.tsv"), ("table", "table.csv"), ("table", "table.tsv")}


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    return read_dataset(extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0], [])


@pytest.mark.parametrize("kind", [*FOREIGN_TABLES, *FOREIGN_OF_ONE])
@pytest.mark.parametrize("name", [*OWN, "folders"])
def test_it_is_an_error_that_names_the_file(tmp_path: Path, name: str, kind: str) -> None:
    foreign = foreign_files(kind, STEMS)
    files = images(NAMES) | OWN.get(name, {}) | foreign
    if name == "folders":
        files = images(f"{('ant', 'bee')[at % 2]}/{stem}.jpg" for at, stem in enumerate(STEMS)) | foreign
    try:
        dataset = _read(tmp_path, files)
    except Rejected as rejected:
        assert any(finding.path in foreign for finding in rejected.findings)
        return
    if (name, kind) in READ_AS_CLASSES:  # a table of classes of images that is read, and reported as such
        assert dataset.format == "table" and foreign.keys() <= {finding.path for finding in dataset.findings}
        return
    errors = [finding for finding in dataset.findings if finding.severity == "error"]
    named = [finding for finding in errors if finding.path in foreign or finding.code == "formats-mixed"]
    assert named, [finding.code for finding in dataset.findings]


@pytest.mark.parametrize("kind", ["captions", "camera"])
def test_texts_about_one_image_that_are_no_labels_change_nothing(tmp_path: Path, kind: str) -> None:
    text = {"captions": b"a photograph of an ant\n", "camera": b"P0: 7.2e+02 0 6.1e+02 0 0 7.2e+02\nR0: 1 0 0 0 1 0\n"}
    texts: Files = {f"texts/{stem}.txt": text[kind] for stem in STEMS}
    dataset = _read(tmp_path, images(NAMES) | OWN["coco"] | texts)
    assert {finding.code for finding in dataset.findings} == {"image-without-annotation"}


def _of_events() -> Files:
    return images(f"events/{('Parade', 'March')[at % 2]}/{stem}.jpg" for at, stem in enumerate(STEMS))


TEXTS: dict[str, bytes] = {
    "wider_face_train_bbx_gt.txt": "".join(
        f"{('Parade', 'March')[at % 2]}/{stem}.jpg\n{at + 1}\n" + "10 12 30 20 0 0 0 0 0 0\n" * (at + 1)
        for at, stem in enumerate(STEMS)
    ).encode(),
    "train.txt": "".join(f"x/{stem}.jpg 10,12,40,50,0 20,20,30,30,1\n" for stem in STEMS).encode(),
    "2007_train.txt": "".join(f"x/{stem}.jpg 10,12,40,50,0\n" for stem in STEMS).encode(),
    "events/gt/gt.txt": b"1,1,10,12,30,20,1,1,1\n2,1,10,12,30,20,1,1,1\n",
    "events/image_class_labels.txt": b"1 1\n2 2\n",
    "events/train_test_split.txt": b"1 0\n2 1\n",
}
IDS: Files = {"events/images.txt": "".join(f"{at} x/{stem}.jpg\n" for at, stem in enumerate(STEMS, 1)).encode()}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_labels_beside_folders_are_errors_that_name_the_file(tmp_path: Path, name: str) -> None:
    dataset = _read(tmp_path, _of_events() | IDS | {name: TEXTS[name]})
    errors = [finding.path for finding in dataset.findings if finding.code == "annotations-unread"]
    assert dataset.format == "folders" and errors == [name] and len(dataset.broken) == 8


def test_lists_of_a_split_beside_folders_are_no_annotations(tmp_path: Path) -> None:
    lists: Files = {
        "train.txt": "\n".join(f"events/x/{stem}.jpg" for stem in STEMS[:6]).encode(),
        "val.txt": "\n".join(f"events/x/{stem}.jpg" for stem in STEMS[6:]).encode(),
    }
    dataset = _read(tmp_path, _of_events() | lists)
    assert not dataset.broken and {item.split for item in dataset.items} == {"train", "val"}
