"""A repaired ZIP is accepted, logs every change, and keeps valid files unchanged."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from pipeline.__main__ import run
from pipeline.archive.source import REPAIR_LOG
from tests.builders.voc import FAULTS, IMAGE, JUNK, XML, Files, annotation, image_bytes, voc_files, zip_files
from tests.builders.yolo_coco import COCO_FAULTS, JSON, LABEL, YOLO_FAULTS, coco_files, dump, yolo_files
from tests.unit.pipeline.formats.test_format_faults import COCO_ROWS, YOLO_ROWS
from tests.unit.pipeline.prepare.test_faults import ROWS

# What a yaml or a JSON means that cannot be read to its end, only its author knows.
BEYOND = {
    "name_empty",
    "names_nested",
    "yaml_broken",
    "yaml_alias",
    "yaml_list",
    "yaml_tag",
    "cut",
    "latin",
    "category_id_twice",
}


def _rejected() -> list[Any]:
    rows: list[Any] = []
    for name, table, faults, make in (
        ("voc", ROWS, FAULTS, voc_files),
        ("yolo", YOLO_ROWS, YOLO_FAULTS, yolo_files),
        ("coco", COCO_ROWS, COCO_FAULTS, coco_files),
    ):
        for fault, *_, outcome in table:
            if outcome == "rejected" and fault not in (BEYOND if name != "voc" else ()):
                rows.append(pytest.param(make, faults[fault], id=f"{name}-{fault}"))
    return rows


@pytest.mark.parametrize(("make", "fault"), _rejected())
def test_a_rejected_dataset_is_accepted_after_a_repair(tmp_path: Path, make: Any, fault: Any) -> None:
    files = make()
    fault(files)
    repaired = _repair(tmp_path, files)
    result = _prepare(repaired, tmp_path / "out")
    assert result["outcome"] == "ready"
    assert result["images"] >= 11 and result["classes"] == ["ball", "cube"]
    assert _log(repaired), "every change is in the log"


@pytest.mark.parametrize("make", [voc_files, yolo_files, coco_files])
def test_a_valid_dataset_keeps_its_fingerprint(tmp_path: Path, make: Any) -> None:
    files = make()
    before = _prepare(zip_files(tmp_path / "before.zip", files), tmp_path / "before")
    repaired = _repair(tmp_path, files)
    after = _prepare(repaired, tmp_path / "after")
    assert after["fingerprint"] == before["fingerprint"]
    again = _prepare(_repair(tmp_path, _contents(repaired), name="again.zip"), tmp_path / "again")
    assert again["fingerprint"] == before["fingerprint"]


def test_boxes_are_swapped_clipped_and_dropped_and_logged_with_their_line(tmp_path: Path) -> None:
    files = voc_files()
    boxes = [
        ("ball", 5.0, 5.0, 30.0, 30.0),
        ("cube", 60.0, 40.0, 40.0, 20.0),  # inverted
        ("ball", 80.5, 30.0, 120.0, 60.0),  # over the edge, most of it inside
        ("cube", 200.0, 10.0, 240.0, 30.0),  # outside
        ("ball", 5.0, 5.0, 30.0, 30.0),  # twice
    ]
    boxes[2] = ("ball", 70.5, 30.0, 110.0, 60.0)
    files[XML] = annotation("p00.jpg", boxes, size=(0, 0)).replace(b"<name>", b"<pose>Left</pose><name>")
    repaired = _repair(tmp_path, files)
    root = etree.fromstring(_contents(repaired)[XML])
    corners = [[each.findtext(f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")] for each in root[2:]]
    assert corners == [["5", "5", "30", "30"], ["40", "20", "60", "40"], ["70.5", "30", "96", "60"]]
    assert [each.findtext("pose") for each in root.iter("object")] == ["Left"] * 3
    assert (root.findtext("size/width"), root.findtext("size/height")) == ("96", "64")
    log = [(entry["code"], entry["path"], entry["line"] is not None) for entry in _log(repaired)]
    assert log == [
        ("repair-box-swapped", XML, True),
        ("repair-box-clipped", XML, True),
        ("repair-box-dropped", XML, True),
        ("repair-box-dropped", XML, True),
        ("repair-size-fixed", XML, True),
    ]


def test_valid_files_are_copied_byte_for_byte_and_junk_is_dropped(tmp_path: Path) -> None:
    files = voc_files() | JUNK
    FAULTS["box_inverted"](files)
    FAULTS["image_png_inside"](files)
    contents = _contents(_repair(tmp_path, files))
    good = {name: content for name, content in voc_files().items() if name not in (IMAGE, XML)}
    renamed = IMAGE.replace(".jpg", ".png")
    assert {name: contents[name] for name in good} == good
    assert contents[renamed] == files[IMAGE]
    assert set(contents) == {*good, renamed, XML, REPAIR_LOG}
    assert b"<filename>p00.png</filename>" in contents[XML]
    codes = [entry["code"] for entry in _log(tmp_path / "repaired.zip")]
    assert codes.count("repair-junk-dropped") + codes.count("repair-file-dropped") == len(JUNK)
    assert "repair-image-renamed" in codes


def test_boxes_drawn_before_the_image_was_made_smaller_are_scaled_with_it(tmp_path: Path) -> None:
    files = voc_files()
    boxes = [("ball", 401.0, 101.0, 700.0, 400.0), ("cube", 30.0, 1.0, 11.0, 640.0), ("ball", 50.0, 50.0, 50.0, 90.0)]
    files[XML] = annotation("p00.jpg", boxes, size=(960, 641))
    repaired = _repair(tmp_path, files)
    root = etree.fromstring(_contents(repaired)[XML])
    corners = [[box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")]
    assert corners == [["41", "10.984", "70", "39.938"], ["2", "1", "3", "63.9"]], "the click has no area and is gone"
    assert (root.findtext("size/width"), root.findtext("size/height")) == ("96", "64")
    codes = [entry["code"] for entry in _log(repaired)]
    assert codes[-2:] == ["repair-boxes-rescaled", "repair-size-fixed"] and "repair-image-left-out" not in codes


def test_one_image_proves_that_the_whole_dataset_was_rescaled(tmp_path: Path) -> None:
    files = voc_files()
    box, larger = (10.0, 10.0, 40.0, 30.0), "annotations/p01.xml"
    files[XML] = annotation("p00.jpg", [("ball", 101.0, 61.0, 160.0, 100.0)], size=(192, 128))  # only fits that
    files[larger] = annotation("p01.jpg", [("cube", *box), ("ball", 50.0, 30.0, 200.0, 60.0)], size=(192, 128))
    files["annotations/p02.xml"] = annotation("p02.jpg", [("cube", *box)], size=(288, 192))  # fits both
    files["annotations/p03.xml"] = annotation("p03.jpg", [("cube", *box)], size=(97, 97))  # of another shape
    files["annotations/p04.xml"] = annotation("p04.jpg", [("cube", 60.0, 40.0, 90.0, 60.0)], size=(48, 32))
    contents = _contents(_repair(tmp_path, files))
    trees = [etree.fromstring(contents[f"annotations/p{n:02d}.xml"]) for n in range(5)]
    assert [[corner.text for corner in tree.find("object/bndbox")] for tree in trees] == [
        ["51", "31", "80", "50"],
        ["5.5", "5.5", "20", "15"],
        ["4", "4", "13.333", "10"],
        ["10", "10", "40", "30"],
        ["60", "40", "90", "60"],
    ]
    rescaled = [entry["path"] for entry in _log(tmp_path / "repaired.zip") if entry["code"] == "repair-boxes-rescaled"]
    assert rescaled == [XML, larger, "annotations/p02.xml"]
    without = files | {XML: voc_files()[XML], larger: voc_files()[larger]}
    assert not [entry for entry in _log(_repair(tmp_path, without, name="b.zip")) if "rescaled" in entry["code"]]


def test_an_image_of_another_scale_without_a_proof_is_left_out(tmp_path: Path) -> None:
    files = voc_files()
    files[XML] = annotation("p00.jpg", [("ball", 10.0, 10.0, 40.0, 30.0)], size=(192, 128))  # fits both
    repaired = _repair(tmp_path, files)
    assert XML not in _contents(repaired) and IMAGE not in _contents(repaired)
    assert [entry["path"] for entry in _log(repaired) if entry["code"] == "repair-image-left-out"] == [IMAGE]


def test_a_repair_turns_no_image_into_background(tmp_path: Path) -> None:
    files = voc_files()
    files[XML] = annotation("p00.jpg", [("ball", -60.0, 20.0, 50.0, 60.0)])  # less than half is inside
    files["annotations/p01.xml"] = annotation("p01.jpg", [("cube", 200.0, 10.0, 240.0, 30.0)])
    files["annotations/p02.xml"] = annotation("p02.jpg", [])
    contents = _contents(_repair(tmp_path, files))
    corners = [corner.text for corner in etree.fromstring(contents[XML]).find("object/bndbox")]
    assert corners == ["1", "20", "50", "60"]
    assert "images/p01.jpg" not in contents and "images/p02.jpg" in contents
    log = [(entry["code"], entry["path"]) for entry in _log(tmp_path / "repaired.zip")]
    assert log == [
        ("repair-box-clipped", XML),
        ("repair-box-dropped", "annotations/p01.xml"),
        ("repair-image-left-out", "images/p01.jpg"),
    ]


@pytest.mark.parametrize(
    ("make", "name", "old", "new", "image"),
    [
        (voc_files, XML, b"p00.jpg", b"other.jpg", IMAGE),
        (coco_files, JSON, b'"image_id": 0,', b'"image_id": 777,', "train/p00.jpg"),
        (coco_files, JSON, b'"file_name": "p00.jpg"', b'"file_name": "other.jpg"', "train/p00.jpg"),
    ],
    ids=["voc", "annotation of a coco", "image of a coco"],
)
def test_an_image_whose_annotation_may_be_lost_is_left_out(
    tmp_path: Path, make: Any, name: str, old: bytes, new: bytes, image: str
) -> None:
    files = make()
    files[name.replace("p00", "other")] = files.pop(name).replace(old, new)
    contents = _contents(_repair(tmp_path, files))
    assert [each for each in files if each.endswith(".jpg") and each not in contents] == [image]
    assert ("repair-image-left-out", image) in {
        (entry["code"], entry["path"]) for entry in _log(tmp_path / "repaired.zip")
    }


def test_background_is_kept_if_there_are_fewer_lost_annotations(tmp_path: Path) -> None:
    files = voc_files()
    files["annotations/lost.xml"] = files.pop(XML)
    files["images/background.jpg"] = image_bytes(seed=-1)
    contents = _contents(_repair(tmp_path, files))
    assert {IMAGE, "images/background.jpg"} <= contents.keys()


@pytest.mark.parametrize(
    ("box", "size"),
    [((400.0, 100.0, 700.0, 400.0), (960, 600)), ((400.0, 100.0, 970.0, 400.0), (960, 640))],
    ids=["another shape", "not inside the declared size"],
)
def test_boxes_that_fit_no_size_are_not_guessed(
    tmp_path: Path, box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    files = voc_files()
    files[XML] = annotation("p00.jpg", [("ball", *box)], size=size)
    assert IMAGE not in _contents(_repair(tmp_path, files))


def test_a_given_split_by_folders_or_lists_is_kept(tmp_path: Path) -> None:
    files = voc_files()
    FAULTS["box_inverted"](files)
    files["sets/train.txt"] = "".join(f"p{n:02d}\n" for n in range(9)).encode()
    files["sets/val.txt"] = b"p09\np10\np11\n"
    FAULTS["image_png_inside"](files)
    result = _prepare(_repair(tmp_path, files), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())["split"]["given"] is True
    assert _split_sizes(tmp_path / "out") == {"train": 9, "val": 3}
    assert result["findings"].keys() <= {"split-without-test"}


def test_the_download_of_a_yaml_is_removed(tmp_path: Path) -> None:
    files = yolo_files()
    YOLO_FAULTS["download"](files)
    YOLO_FAULTS["negative_side"](files)
    contents = _contents(_repair(tmp_path, files))
    assert b"download" not in contents["data.yaml"]
    lines = contents[LABEL].decode().split("\n")
    assert lines[2] == "0 0.500000000 0.500000000 0.200000000 0.200000000"


def test_one_coco_file_is_written_for_each_split(tmp_path: Path) -> None:
    files = coco_files()
    COCO_FAULTS["box_negative"](files)
    contents = _contents(_repair(tmp_path, files))
    written = {name for name in contents if name.endswith(".json")}
    assert written == {"annotations/instances_train.json", "annotations/instances_val.json"}
    train = json.loads(contents["annotations/instances_train.json"])
    assert [entry["bbox"] for entry in train["annotations"]][2] == [10.0, 20.0, 30.0, 20.0]
    assert _prepare(tmp_path / "repaired.zip", tmp_path / "out")["images"] == 12


def test_a_dataset_with_nothing_to_keep_is_not_written(tmp_path: Path) -> None:
    files = voc_files(images=3)
    files[IMAGE] = b"no image"
    archive = zip_files(tmp_path / "data.zip", files)
    assert run(["repair", str(archive), str(tmp_path / "repaired.zip"), "--processes", "1"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_a_supervised_repair_of_a_hostile_archive_is_a_rejection_with_findings(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "data.zip", {"../a.jpg": image_bytes()})
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"archive": str(archive), "out": str(tmp_path / "out"), "processes": 1}))
    (tmp_path / "out").mkdir()
    assert run(["repair", "--config", str(spec)]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["outcome"], result["problem"]["slug"]) == ("rejected", "archive-refused")
    assert "archive-parent-path" in (tmp_path / "out" / "findings.jsonl").read_text()


def test_the_same_repair_makes_the_same_bytes(tmp_path: Path) -> None:
    files = coco_files()
    files[JSON] = dump(json.loads(files[JSON]))
    first, second = (_repair(tmp_path, files, name=name).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second


def _repair(tmp_path: Path, files: Files, name: str = "repaired.zip") -> Path:
    archive = zip_files(tmp_path / f"source-{name}", files)
    assert run(["repair", str(archive), str(tmp_path / name), "--processes", "1"]) == 0
    return tmp_path / name


def _prepare(archive: Path, out: Path) -> dict[str, Any]:
    status = run(["prepare", str(archive), str(out), "--processes", "1"])
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result


def _contents(archive: Path) -> Files:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def _log(archive: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _contents(archive)[REPAIR_LOG].splitlines()]


def _split_sizes(out: Path) -> dict[str, int]:
    images = out / "tree" / "images"
    return {folder.name: len(list(folder.iterdir())) for folder in images.iterdir()}
