"""Class lists, encodings, units and ids: labels are used right, or one error names the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from pipeline.archive.extract import extract
from pipeline.dataset.model import FRACTION, Dataset
from pipeline.formats import read_dataset
from tests.builders.voc import SIZE, Files, annotation, image_bytes, zip_files
from tests.builders.yolo_coco import dump

BOX = "0.5 0.5 0.25 0.25"


def _read(tmp_path: Path, files: Files) -> Dataset:
    archive = zip_files(tmp_path / "data.zip", files)
    source, findings = extract(archive, tmp_path, threads=1, tick=lambda *_: None)
    return read_dataset(source, findings)


def _yolo(folders: dict[str, tuple[int, ...]], more: Files, *, labels: str = "{}/{}.txt") -> Files:
    """Images `<folder>/<n>.jpg`, each with one box of each class number, and label files where `labels` says."""
    files: Files = dict(more)
    for number, (folder, classes) in enumerate((each, classes) for each, classes in folders.items() for _ in range(3)):
        name = f"{folder.replace('/', '_')}{number}"
        files[f"{folder}/{name}.jpg"] = image_bytes(seed=number)
        files[labels.format(folder, name)] = "".join(f"{each} {BOX}\n" for each in classes).encode()
    return files


def _labels(dataset: Dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in dataset.items:
        found[item.image.name.split("/")[0]] = [box.label for box in item.boxes]
    return found


def _codes(dataset: Dataset, severity: str | None = None) -> list[str]:
    return [finding.code for finding in dataset.findings if severity in (None, finding.severity)]


MODEL = b"nc: 2\nbackbone:\n  - [1]\nhead:\n  - [2]\n"
ANNA, BEN = b"bolt\nnut\n", b"nut\nbolt\n"


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "coffee.names", "class_names.txt", "_darknet.labels"])
@pytest.mark.parametrize("wrap", ["", "set/", "set/data v2/"])
def test_a_list_is_valid_for_its_folder_and_below(tmp_path: Path, name: str, wrap: str) -> None:
    lists = {f"{wrap}anna/{name}": ANNA, f"{wrap}ben/{name}": BEN}
    files = _yolo({f"{wrap}anna": (0, 1), f"{wrap}ben/day 1": (0, 1)}, lists)
    dataset = _read(tmp_path, files)
    read = {item.image.name.removeprefix(wrap).split("/")[0]: [b.label for b in item.boxes] for item in dataset.items}
    assert read == {"anna": ["bolt", "nut"], "ben": ["nut", "bolt"]} and _codes(dataset) == []


@pytest.mark.parametrize(
    ("images", "labels", "where"),
    [
        ("{}/images", "{}/labels", "{}/labels"),
        ("{}/images", "{}/labels", "{}/images"),
        ("{}/images", "{}/labels", "{}"),
        ("images/{}", "labels/{}", "labels/{}"),
        ("images/{}", "labels/{}", "images/{}"),
    ],
)
def test_parallel_folders_share_the_scope_of_a_list(tmp_path: Path, images: str, labels: str, where: str) -> None:
    files: Files = {}
    for who, names in (("anna", ANNA), ("ben", BEN)):
        files[f"{where.format(who)}/classes.txt"] = names
        for number in range(3):
            files[f"{images.format(who)}/{who}{number}.jpg"] = image_bytes(seed=len(files))
            files[f"{labels.format(who)}/{who}{number}.txt"] = f"0 {BOX}\n".encode()
    dataset = _read(tmp_path, files)
    assert {item.image.name.rsplit("/", 1)[1][:-5]: item.boxes[0].label for item in dataset.items} == {
        "anna": "bolt",
        "ben": "nut",
    }


@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"classes.txt": ANNA, "obj.names": BEN}, {"classes.txt", "obj.names"}),
        ({"data.yaml": b"names: [bolt, nut]\n", "classes.txt": BEN}, {"data.yaml", "classes.txt"}),
        ({"data.yaml": b"names: [bolt, nut]\n", "a/classes.txt": BEN}, {"data.yaml", "a/classes.txt"}),
        ({"data.yaml": b"names: [bolt, nut]\n", "labels/classes.txt": BEN}, {"data.yaml", "labels/classes.txt"}),
        ({"a/classes.txt": ANNA, "cfg/obj.names": BEN, "b/classes.txt": ANNA}, {"a/classes.txt", "cfg/obj.names"}),
    ],
)
def test_lists_that_differ_for_the_same_labels_are_an_error_that_names_both(
    tmp_path: Path, lists: Files, named: set[str]
) -> None:
    dataset = _read(tmp_path, _yolo({"a": (0, 1), "b": (0, 1)}, lists))
    errors = [finding for finding in dataset.findings if finding.code == "class-lists-differ"]
    assert len(errors) == 1
    assert errors[0].path in named and (named - {errors[0].path}).pop() in errors[0].detail
    assert any(item.image.name in dataset.broken for item in dataset.items)


@pytest.mark.parametrize(
    ("lists", "names", "codes"),
    [
        ({"a/classes.txt": ANNA, "b/classes.txt": ANNA, "data.yaml": b"names: [bolt, nut]\n"}, ["bolt", "nut"], []),
        ({"classes.txt": ANNA, "predefined_classes.txt": b"dog\ncat\n"}, ["bolt", "nut"], ["class-list-unused"]),
        ({"classes.txt": ANNA, "cfg/coco.names": b"dog\ncat\n"}, ["bolt", "nut"], ["class-list-unused"]),
        ({"train/classes.txt": ANNA}, ["bolt", "nut"], ["class-list-elsewhere"]),
        ({"a.yaml": MODEL, "x.yaml": b"names: [bolt, nut]\n"}, ["bolt", "nut"], ["yaml-model"]),
        ({"cfg/x.data": b"names = cfg/my list.txt\n", "cfg/my list.txt": ANNA}, ["bolt", "nut"], []),
        ({"classes.txt": ANNA.decode().encode("utf-16")}, ["bolt", "nut"], []),
        ({"classes.txt": ANNA.decode().encode("utf-16-le")}, ["bolt", "nut"], []),
    ],
)  # fmt: skip
def test_a_list_without_effect_is_reported(tmp_path: Path, lists: Files, names: list[str], codes: list[str]) -> None:
    first = "train" if "train/classes.txt" in lists else "a"
    dataset = _read(tmp_path, _yolo({first: (0, 1), "b": (0, 1)}, lists))
    assert _labels(dataset) == {first: names, "b": names}
    assert [code for code in _codes(dataset) if not code.startswith("split-")] == codes


def test_labels_without_a_list_beside_lists_that_differ_are_refused(tmp_path: Path) -> None:
    lists = {"a/classes.txt": ANNA, "b/classes.txt": BEN}
    dataset = _read(tmp_path, _yolo({"a": (0,), "b": (0,), "c": (0,)}, lists))
    assert _codes(dataset, "error") == ["class-list-missing"]
    assert {name.split("/")[0] for name in dataset.broken} == {"c"}


@pytest.mark.parametrize(("encoding", "words"), [("gbk", "GBK"), ("cp932", "Shift-JIS"), ("cp950", "Big5")])
@pytest.mark.parametrize("name", ["classes.txt", "data.yaml", "labels.names"])
def test_a_list_in_another_encoding_is_refused_by_its_name(
    tmp_path: Path, encoding: str, words: str, name: str
) -> None:
    names = ["汽车", "车", "人"] if encoding == "gbk" else ["自動車", "車", "人間"]
    text = f"names: [{', '.join(names)}]\n" if name == "data.yaml" else "\n".join(names)
    dataset = _read(tmp_path, _yolo({"a": (0, 1, 2)}, {name: text.encode(encoding)}))
    (error,) = (finding for finding in dataset.findings if finding.severity == "error")
    assert error.path == name and f"looks like {words}" in error.detail
    assert len(dataset.broken) == len(dataset.items)


def test_a_repair_of_labels_with_keypoints_keeps_their_boxes(tmp_path: Path) -> None:
    yaml: Files = {"data.yaml": b"names: [bolt]\nkpt_shape: [1, 2]\n"}
    files = _yolo({"a": (0,)}, yaml)
    files |= {name: b"0 0.5 0.5 0.4 0.4 0.55 0.55\n" for name in files if name.endswith(".txt")}
    files["a/a0.txt"] += b"0 0.9 0.9 0.4 0.4 0.9 0.9\n"
    archive = zip_files(tmp_path / "data.zip", files)
    assert run(["repair", str(archive), str(tmp_path / "repaired.zip"), "--processes", "1"]) == 0
    source, findings = extract(tmp_path / "repaired.zip", tmp_path, threads=1, tick=lambda *_: None)
    boxes = [item.boxes[0][1:5] for item in read_dataset(source, findings).items]
    assert boxes == [tuple(round(edge * FRACTION) for edge in (0.3, 0.3, 0.7, 0.7))] * 3


def test_a_repair_writes_the_classes_that_were_read(tmp_path: Path) -> None:
    files = _yolo({"anna": (0, 1), "ben": (0, 1)}, {"anna/classes.txt": ANNA, "ben/classes.txt": BEN + b"gear\n"})
    files["anna/anna0.txt"] += b"0 0.9 0.9 0.4 0.4\n"
    archive = zip_files(tmp_path / "data.zip", files)
    assert run(["repair", str(archive), str(tmp_path / "repaired.zip"), "--processes", "1"]) == 0
    source, findings = extract(tmp_path / "repaired.zip", tmp_path, threads=1, tick=lambda *_: None)
    dataset = read_dataset(source, findings)
    assert _labels(dataset) == {"anna": ["bolt", "nut"], "ben": ["nut", "bolt"]}


@pytest.mark.parametrize(
    ("declared", "encoding", "outcome"),
    [
        ("utf-16", "utf-8", "xml-encoding"),
        ("UCS-2", "ascii", "xml-encoding"),
        ("gb2312", "utf-8", "xml-encoding"),
        ("windows-1252", "utf-8", "xml-encoding"),
        ("utf-8", "utf-16", None),
        ("utf-16", "utf-16-le", None),
        ("gbk", "gbk", None),
        ("", "utf-16", None),
        ("utf-8", "gbk", "xml-invalid"),
        ("utf-16", "gbk", "xml-invalid"),
        ("", "gbk", "xml-invalid"),
    ],
)
def test_the_bytes_of_an_xml_decide_over_its_declaration(
    tmp_path: Path, declared: str, encoding: str, outcome: str | None
) -> None:
    name = "part" if encoding == "ascii" else "安全帽"
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    files: Files = {}
    for number in range(3):
        text = head + annotation(f"p{number}.jpg", [(name, 5, 5, 40, 40)]).decode()
        files |= {f"xml/p{number}.xml": text.encode(encoding), f"images/p{number}.jpg": image_bytes(seed=number)}
    dataset = _read(tmp_path, files)
    if outcome == "xml-invalid":
        assert _codes(dataset, "error") == ["xml-invalid"] * 3
        assert all("looks like GBK" in finding.detail for finding in dataset.findings if finding.code == outcome)
        return
    assert _codes(dataset) == ([outcome] if outcome else [])
    assert {box.label for item in dataset.items for box in item.boxes} == {name}


def _coco(boxes: list[list[float]], **image: Any) -> dict[str, Any]:
    """One image for each box."""
    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": SIZE[0], "height": SIZE[1]} | image for n in range(len(boxes))
        ],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": box} for n, box in enumerate(boxes)],
        "categories": [{"id": 1, "name": "valve"}],
    }  # fmt: skip


def _images(count: int) -> Files:
    return {f"{number}.jpg": image_bytes(seed=number) for number in range(count)}


@pytest.mark.parametrize("scale", [0.0, 0.5])
@pytest.mark.parametrize("size", [0.0, 0, None, 96])
def test_coco_boxes_within_0_and_1_are_fractions(tmp_path: Path, scale: float, size: float | None) -> None:
    document = _coco([[0.25 + scale * n / 10, 0.25, 0.5, 0.4] for n in range(4)], width=size, height=size)
    dataset = _read(tmp_path, _images(4) | {"labels.json": dump(document)})
    assert _codes(dataset) == ["boxes-as-fractions"]
    assert [item.coordinates for item in dataset.items] == ["fractions"] * 4
    assert [value / FRACTION for value in dataset.items[0].boxes[0][1:5]] == [0.25, 0.25, 0.75, 0.65]


@pytest.mark.parametrize("at", [0, 2, 3])
def test_one_box_beyond_1_shows_that_coco_boxes_are_pixels(tmp_path: Path, at: int) -> None:
    boxes = [[0.25, 0.5, 0.5, 0.125] for _ in range(4)]
    boxes[at] = [1.5, 2, 30.25, 20]
    dataset = _read(tmp_path, _images(4) | {"labels.json": dump(_coco(boxes))})
    assert {item.coordinates for item in dataset.items} == {"edges"}
    expected = [(250, 500, 750, 625)] * 4
    expected[at] = (1500, 2000, 31750, 22000)
    assert [item.boxes[0][1:5] for item in dataset.items] == expected


def test_voc_boxes_within_0_and_1_are_refused_with_the_remedy(tmp_path: Path) -> None:
    files = _images(3)
    for number in range(3):
        files[f"{number}.xml"] = annotation(f"{number}.jpg", [("valve", 0.25, 0.25, 0.75, 0.65)])
    dataset = _read(tmp_path, files)
    assert _codes(dataset, "error") == ["box-fractions"] * 3 and len(dataset.broken) == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_coco_file_in_any_form_of_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    document = dump(_coco([[5, 5, 20, 20]] * 3)).decode().encode(encoding)
    dataset = _read(tmp_path, _images(3) | {"labels.json": document})
    assert dataset.format == "coco" and _codes(dataset) == [] and all(item.boxes for item in dataset.items)


@pytest.mark.parametrize("of", ["images", "categories", "annotations"])
@pytest.mark.parametrize("kind", [str, float])
def test_ids_as_text_and_as_numbers_are_the_same(tmp_path: Path, of: str, kind: type) -> None:
    document = _coco([[5, 5, 20, 20]] * 3)
    for entry in document[of]:
        entry.update({key: kind(value) for key, value in entry.items() if key in ("id", "image_id", "category_id")})
    dataset = _read(tmp_path, _images(3) | {"labels.json": json.dumps(document).encode()})
    assert _codes(dataset) == (["json-ids-mixed"] if kind is str else [])
    assert [box.label for item in dataset.items for box in item.boxes] == ["valve"] * 3


def test_ids_that_are_text_throughout_are_no_finding(tmp_path: Path) -> None:
    document = _coco([[5, 5, 20, 20]] * 3)
    for entry in document["images"]:
        entry["id"] = f"img_{entry['id']}"
    for entry in document["annotations"]:
        entry["image_id"] = f"img_{entry['image_id']}"
    assert _codes(_read(tmp_path, _images(3) | {"labels.json": dump(document)})) == []


def _part(document: dict[str, Any], numbers: range) -> bytes:
    kept = {"categories": document["categories"]}
    kept["images"] = [entry for entry in document["images"] if entry["id"] in numbers]
    kept["annotations"] = [entry for entry in document["annotations"] if entry["image_id"] in numbers]
    return dump(kept)


@pytest.mark.parametrize("folder", ["", "annotations/", "a/b/"])
@pytest.mark.parametrize("whole", ["all.json", "a.json", "zz/total.json"])
def test_a_json_that_is_the_sum_of_others_is_left_out(tmp_path: Path, folder: str, whole: str) -> None:
    document = _coco([[5, 5 + n, 20, 20] for n in range(6)])
    parts = {f"{folder}train.json": range(4), f"{folder}val.json": range(4, 6)}
    files = _images(6) | {name: _part(document, numbers) for name, numbers in parts.items()}
    dataset = _read(tmp_path, files | {f"{folder}{whole}": dump(document)})
    assert _codes(dataset) == ["json-sum-left-out"] and dataset.findings[0].path == f"{folder}{whole}"
    assert [item.split for item in dataset.items] == ["train"] * 4 + ["val"] * 2


@pytest.mark.parametrize(("moved", "count"), [(True, 6), (False, 7)])
def test_a_json_that_is_nearly_the_sum_of_others_is_one_error(tmp_path: Path, moved: bool, count: int) -> None:
    document = _coco([[5, 5 + n, 20, 20] for n in range(count)])
    files = _images(count) | {"train.json": _part(document, range(4)), "val.json": _part(document, range(4, 6))}
    document["annotations"][2]["bbox"][0] += 10 if moved else 0
    dataset = _read(tmp_path, files | {"all.json": dump(document)})
    (error,) = (finding for finding in dataset.findings if finding.severity == "error")
    assert (error.code, error.path) == ("json-sum-differs", "all.json")
    assert "train.json, val.json" in error.detail and len(dataset.broken) == count
