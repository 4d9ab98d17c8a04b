"""Annotations that no reader used are an error that names the file, where they would change labels or splits."""

import json
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.roles import class_folders, labelled_yolo, one_box
from tests.builders.voc import Files, image_bytes, zip_files

BATCHES = class_folders("set/{}/{}_x.jpg", ("batch_1", "batch_2"), 6)


def _read(tmp_path: Path, files: Files) -> Dataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    source, findings = extract(zip_files(tmp_path / "data.zip", files), into, threads=1, tick=lambda *_: None)
    return read_dataset(source, findings)


def _found(dataset: Dataset) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in dataset.findings]


def _unique(files: Files) -> Files:
    """Names that are not repeated in other folders."""
    return {
        f"{'/'.join(name.split('/')[:-1])}/{at:02d}-{name.split('/')[-1]}": data
        for at, (name, data) in enumerate(files.items())
    }


IMAGES = _unique(BATCHES)
LABELLED = [(name, "sick" if at % 2 else "well") for at, name in enumerate(IMAGES)]


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _lines(*rows: str) -> bytes:
    return ("\n".join(rows) + "\n").encode()


TABLES = {
    "set/metadata.csv": _lines(
        "file_name,label", *(f"{name.removeprefix('set/')},{label}" for name, label in LABELLED)
    ),
    "labels.csv": _lines("id;diagnosis", *(f"{_base(name)[:-4]};{label}" for name, label in LABELLED)),
    "labels.tsv": _lines("image\tclass", *(f"{_base(name)}\t{label}" for name, label in LABELLED)),
    "targets.txt": _lines(*(f"{name} {int(label == 'sick')}" for name, label in LABELLED)),
    "list.txt": _lines(*(f"{at + 1} {name} {label}" for at, (name, label) in enumerate(LABELLED))),
    "set/metadata.jsonl": _lines(*(json.dumps({"file_name": _base(name), "label": label}) for name, label in LABELLED)),
    "set/data.ndjson": _lines(*(json.dumps({"image": name, "class": label}) for name, label in LABELLED)),
    "via.json": json.dumps({name: {"filename": _base(name), "regions": []} for name, _ in LABELLED}).encode(),
    "createml.json": json.dumps([{"image": _base(name), "annotations": []} for name, _ in LABELLED], indent=1).encode(),
    "cvat.xml": _lines(
        "<dataset>", *(f'<image name="{name}"><tag label="{label}"/></image>' for name, label in LABELLED), "</dataset>"
    ),
    "utf16.csv": "\n".join(["file_name,label", *(f"{_base(name)},{label}" for name, label in LABELLED)]).encode(
        "utf-16"
    ),
    "boxes.csv": _lines(
        "who,what,left edge", *(f"{_base(name)},{label},{at}" for at, (name, label) in enumerate(LABELLED))
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_folders_are_no_classes_beside_an_unread_table_of_labels(tmp_path: Path, table: str) -> None:
    dataset = _read(tmp_path, IMAGES | {table: TABLES[table]})
    if dataset.format != "folders":  # another reader takes the table's own labels
        assert {item.label for item in dataset.items} == {"sick", "well"}
        return
    assert _found(dataset) == [("annotations-unread", table)]
    assert len(dataset.broken) == len(IMAGES)


@pytest.mark.parametrize(
    "file", ["labels.xlsx", "set/annotations.mat", "output.manifest", "gt.pkl", "all_bbox.parquet"]
)
def test_folders_are_no_classes_beside_annotations_of_a_kind_that_is_not_read(tmp_path: Path, file: str) -> None:
    dataset = _read(tmp_path, IMAGES | {file: b"x"})
    assert _found(dataset) == [("annotations-unread", file)] and len(dataset.broken) == len(IMAGES)


@pytest.mark.parametrize(
    "files", [["label_encoder.pkl", "classes.npy", "COVID.metadata.xlsx"], [f"a/annotation_{n}.mat" for n in range(9)]]
)
def test_other_files_of_a_kind_that_is_not_read_are_no_error(tmp_path: Path, files: list[str]) -> None:
    dataset = _read(tmp_path, IMAGES | {file: b"x" for file in files})
    assert not _found(dataset) and not dataset.broken


CLASS_OF = {name: name.split("/")[1] for name in IMAGES}
HARMLESS = {
    "same.csv": _lines("file_name,label", *(f"{_base(name)},{CLASS_OF[name]}" for name in IMAGES)),
    "numbers.txt": _lines(*(f"{name} {int(CLASS_OF[name] == 'batch_2')}" for name in IMAGES)),
    "images.txt": _lines(*(f"{at + 1} {name}" for at, name in enumerate(IMAGES))),
    "files.txt": _lines(*IMAGES),
    "sums.txt": _lines(*(f"{at * 7919:064x}  {name}" for at, name in enumerate(IMAGES))),
    "credits.csv": _lines(
        "filename,author,license", *(f"{_base(name)},Ann{at % 2},CC-BY" for at, name in enumerate(IMAGES))
    ),
    "LOC_train_solution.csv": _lines(
        "ImageId,PredictionString",
        *(f"{_base(name)[:-4]},{CLASS_OF[name]} 5 6 70 {60 + at} " for at, name in enumerate(IMAGES)),
    ),
    "README.txt": _lines("These are images.", f"For example {next(iter(IMAGES))} is one.", "label: none", "Enjoy."),
    "captions.jsonl": _lines(
        *(json.dumps({"file_name": _base(name), "text": f"a leaf {at}"}) for at, name in enumerate(IMAGES))
    ),
    "info.json": json.dumps({"name": "leaves", "version": 2, "url": "https://example.com/a.jpg"}).encode(),
    "boxes_of_ids.txt": _lines(*(f"{at + 1} 10.0 20.0 30.0 40.0" for at in range(len(IMAGES)))),
    "pom.xml": b"<project><name>x</name></project>\n",
}


@pytest.mark.parametrize("file", HARMLESS)
def test_a_file_that_changes_no_label_is_no_error(tmp_path: Path, file: str) -> None:
    dataset = _read(tmp_path, IMAGES | {file: HARMLESS[file]})
    assert {item.label for item in dataset.items} == {"batch_1", "batch_2"} and not dataset.broken
    if dataset.format == "folders":  # else another reader takes the table's own labels, which are the same
        assert _found(dataset) == []


def test_the_tables_of_cub_leave_its_folders_as_classes(tmp_path: Path) -> None:
    images = class_folders("CUB/images/{}/{}.jpg", ("001.Gull", "002.Laysan", "003.Sooty"), 6)
    images = {f"{name[:-4]}_{name.split('/')[2][4:]}.jpg": content for name, content in images.items()}
    names = [name.removeprefix("CUB/images/") for name in images]
    ids = range(1, len(names) + 1)
    files = images | {
        "CUB/images.txt": _lines(*(f"{at} {name}" for at, name in zip(ids, names, strict=True))),
        "CUB/bounding_boxes.txt": _lines(*(f"{at} 20.0 12.0 90.0 60.0" for at in ids)),
        "CUB/image_class_labels.txt": _lines(*(f"{at} {1 + (at - 1) // 6}" for at in ids)),
        "CUB/train_test_split.txt": _lines(*(f"{at} {at % 2}" for at in ids)),
        "CUB/classes.txt": b"1 001.Gull\n2 002.Laysan\n3 003.Sooty\n",
        "CUB/parts/part_locs.txt": _lines(*(f"{at} 1 30.0 30.0 1" for at in ids)),
    }
    dataset = _read(tmp_path, files)
    assert (dataset.kind, len(dataset.items), len(dataset.broken)) == ("classification", 18, 0)
    assert {item.label for item in dataset.items} == {"001.Gull", "002.Laysan", "003.Sooty"}


@pytest.mark.parametrize(
    "stray", [{"set/batch_1/notes.xml": one_box("none.jpg")}, {"set/measures.txt": b"0 0.5 0.5 0.2 0.2\n"}]
)
def test_a_stray_file_does_not_decide_the_format(tmp_path: Path, stray: Files) -> None:
    assert _read(tmp_path, IMAGES | stray).format == "folders"


@pytest.mark.parametrize("labelled", [0, 6])
def test_a_table_that_labels_images_without_a_label_is_an_error(tmp_path: Path, labelled: int) -> None:
    files = labelled_yolo(9)
    bare = [name for name in files if name.endswith(".jpg")][labelled : labelled + 3]
    rows = _lines("image,what", *(f"{_base(name)},{'weld' if at % 2 else 'none'}" for at, name in enumerate(bare)))
    for name in bare:
        del files[name.replace("images/", "labels/").replace(".jpg", ".txt")]
    dataset = _read(tmp_path, files | {"notes.csv": rows})
    assert ("annotations-unread", "notes.csv") in _found(dataset)
    assert dataset.broken == set(bare)


def test_a_table_beside_labels_of_all_images_is_a_note(tmp_path: Path) -> None:
    files = labelled_yolo(6)
    names = [_base(name) for name in files if name.endswith(".jpg")]
    files["notes.csv"] = _lines(
        "image,what", *(f"{name},{'weld' if at % 2 else 'none'}" for at, name in enumerate(names))
    )
    assert _found(_read(tmp_path, files)) == [("annotations-left-out", "notes.csv")]


def test_json_of_each_image_beside_its_label_is_one_note(tmp_path: Path) -> None:
    files = labelled_yolo(6)
    document = json.dumps({"imagePath": "x.jpg", "objects": [], "points": []}).encode()
    files |= {name.replace(".jpg", ".json"): document for name in files if name.endswith(".jpg")}
    dataset = _read(tmp_path, files)
    assert [code for code, _ in _found(dataset) if code == "annotations-left-out"] == ["annotations-left-out"]
    assert not dataset.broken


@pytest.mark.parametrize(("xml", "txt"), [(7, 5), (5, 7), (11, 1)])
def test_two_formats_that_label_different_images_are_an_error_with_the_numbers(
    tmp_path: Path, xml: int, txt: int
) -> None:
    files: Files = {"set/classes.txt": b"cup\nplate\n"}
    for number in range(xml + txt):
        files[f"set/{number:02d}.jpg"] = image_bytes(seed=number)
        if number < xml:
            files[f"set/{number:02d}.xml"] = one_box(f"{number:02d}.jpg", "cup")
        else:
            files[f"set/{number:02d}.txt"] = b"1 0.5 0.5 0.4 0.4\n"
    dataset = _read(tmp_path, files)
    (finding,) = [each for each in dataset.findings if each.code == "formats-mixed"]
    assert f"voc describes {xml} images" in finding.detail and f"yolo describes {txt} images" in finding.detail
    assert len(dataset.broken) == min(xml, txt)


def test_an_archive_without_a_format_names_its_table(tmp_path: Path) -> None:
    files = {f"flat/{_base(name)}": content for name, content in IMAGES.items()}
    files["flat/answers.csv"] = _lines("image,what", *(f"{_base(name)},{label}" for name, label in LABELLED))
    try:
        dataset = _read(tmp_path, files)
    except Rejected as rejected:
        assert "flat/answers.csv" in rejected.problem.detail
        assert ("annotations-unread", "flat/answers.csv") in [(each.code, each.path) for each in rejected.findings]
    else:
        assert {item.label for item in dataset.items} == {"sick", "well"}


def test_lists_give_the_split_of_folders_of_classes(tmp_path: Path) -> None:
    names = list(IMAGES)
    files = IMAGES | {
        "meta/train.txt": _lines(*(name.removeprefix("set/")[:-4] for at, name in enumerate(names) if at % 3)),
        "meta/test.txt": _lines(*(name.removeprefix("set/")[:-4] for at, name in enumerate(names) if not at % 3)),
    }
    dataset = _read(tmp_path, files)
    assert [item.split for item in dataset.items] == ["train" if at % 3 else "test" for at in range(len(names))]


@pytest.mark.parametrize("kind", ["Car", "DontCare"])
@pytest.mark.parametrize("score", ["", " 0.87"])
@pytest.mark.parametrize("folder", ["", "training/"])
def test_labels_of_kitti_are_one_error_that_names_them(tmp_path: Path, folder: str, kind: str, score: str) -> None:
    line = f"{kind} 0.00 0 -1.58 8.01 13.33 44.12 50.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59{score}\n".encode()
    names = [f"{folder}image_2/{at:06}.png" for at in range(6)]
    files: Files = {name: image_bytes(seed=at, format="PNG") for at, name in enumerate(names)}
    files |= {name.replace("image_2", "label_2").replace(".png", ".txt"): line for name in names}
    try:
        found = _read(tmp_path, files).findings
    except Rejected as rejected:
        found = rejected.findings
    errors = [each for each in found if each.severity == "error"]
    assert [each.code for each in errors] == ["annotations-unread"] and "6 files" in errors[0].detail
    assert "KITTI" in errors[0].detail and "label_2" in errors[0].path
