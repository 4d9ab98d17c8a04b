"""An image without a label is background only where nothing else explains that it has none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.__main__ import run
from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.roles import labelled_yolo, one_box
from tests.builders.voc import Files, image_bytes, zip_files

UNLABELLED = "image-unlabelled"
BACKGROUND = "image-without-annotation"


def _read(tmp_path: Path, files: Files, background: str = "auto") -> Dataset:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    source, findings = extract(zip_files(tmp_path / "data.zip", files), into, threads=1, tick=lambda *_: None)
    return read_dataset(source, findings, background=background)


def _codes(dataset: Dataset) -> list[str]:
    return sorted({finding.code for finding in dataset.findings})


def _yolo(labelled: int) -> Files:
    return labelled_yolo(labelled, images="set/images/{}.jpg", labels="set/labels/{}.txt", yaml=False)


def _voc(labelled: int) -> Files:
    files = {f"set/images/{n}.jpg": image_bytes(seed=n) for n in range(labelled)}
    return files | {f"set/xml/{n}.xml": one_box(f"{n}.jpg") for n in range(labelled)}


def _coco(labelled: int) -> Files:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 96, "height": 64} for n in range(labelled)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 50, 30]} for n in range(labelled)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    files = {f"set/images/{n}.jpg": image_bytes(seed=n) for n in range(labelled)}
    return files | {"set/instances.json": json.dumps(document).encode()}


FORMATS = [_yolo, _voc, _coco]


def _bare(count: int, folder: str = "set/images") -> Files:
    return {f"{folder}/bare{n}.jpg": image_bytes(seed=500 + n) for n in range(count)}


@pytest.mark.parametrize("labelled", FORMATS)
@pytest.mark.parametrize(("bare", "code"), [(1, BACKGROUND), (4, BACKGROUND), (5, UNLABELLED), (9, UNLABELLED)])
def test_background_is_the_smaller_part(tmp_path: Path, labelled: Callable[[int], Files], bare: int, code: str) -> None:
    dataset = _read(tmp_path, labelled(5) | _bare(bare))
    assert _codes(dataset) == [code]
    assert len(dataset.broken) == (bare if code == UNLABELLED else 0)


@pytest.mark.parametrize("labelled", FORMATS)
@pytest.mark.parametrize("folder", ["set/images/new", "set/test", "other"])
def test_background_lies_among_labelled_images(tmp_path: Path, labelled: Callable[[int], Files], folder: str) -> None:
    dataset = _read(tmp_path, labelled(8) | _bare(2, folder))
    assert UNLABELLED in _codes(dataset) and BACKGROUND not in _codes(dataset)
    assert dataset.broken == {f"{folder}/bare0.jpg", f"{folder}/bare1.jpg"}
    (finding,) = [each for each in dataset.findings if each.code == UNLABELLED]
    assert finding.path == f"{folder}/bare0.jpg" and "2 images" in finding.detail
    assert "background=unlabelled" in finding.remedy


@pytest.mark.parametrize("labelled", FORMATS)
@pytest.mark.parametrize("folder", ["set/images", "set/images/new", "other"])
@pytest.mark.parametrize("bare", [2, 12])
def test_the_option_makes_every_image_without_a_label_background(
    tmp_path: Path, labelled: Callable[[int], Files], folder: str, bare: int
) -> None:
    dataset = _read(tmp_path, labelled(5) | _bare(bare, folder), background="unlabelled")
    assert not dataset.broken
    assert [finding.code for finding in dataset.findings] == [BACKGROUND] * bare


@pytest.mark.parametrize("labelled", [_yolo, _voc])
@pytest.mark.parametrize("background", ["auto", "unlabelled"])
def test_an_image_that_may_own_a_label_without_an_image_is_never_background(
    tmp_path: Path, labelled: Callable[[int], Files], background: str
) -> None:
    files = labelled(9) | _bare(1)
    if labelled is _yolo:
        files["set/labels/entirely-other.txt"] = b"0 0.5 0.5 0.2 0.2\n"
    else:
        files["set/xml/entirely-other.xml"] = one_box("entirely-other.jpg")
    dataset = _read(tmp_path, files, background)
    assert dataset.broken == {"set/images/bare0.jpg"}
    assert _codes(dataset) == ["image-missing", UNLABELLED]


def test_an_image_that_a_split_list_names_may_be_background(tmp_path: Path) -> None:
    files = _voc(8) | _bare(2, "set/more")
    files["set/ImageSets/Main/train.txt"] = b"".join(b"%d\n" % n for n in range(6)) + b"bare0\n"
    files["set/ImageSets/Main/val.txt"] = b"6\n7\nbare1\n"
    assert _codes(_read(tmp_path, files)) == [BACKGROUND]


def test_a_part_of_a_data_yaml_may_be_background_alone(tmp_path: Path) -> None:
    files = {name: content for name, content in labelled_yolo(6).items() if not name.startswith("labels/val")}
    dataset = _read(tmp_path, files)
    assert _codes(dataset) == [BACKGROUND] and not dataset.broken


def test_a_copy_with_another_extension_is_no_background(tmp_path: Path) -> None:
    files = _voc(8) | {"set/images/0.png": image_bytes(seed=0, format="PNG")}
    dataset = _read(tmp_path, files)
    assert (_codes(dataset), dataset.broken) == ([UNLABELLED], {"set/images/0.png"})


def test_an_empty_label_file_is_a_statement(tmp_path: Path) -> None:
    files = _yolo(3) | _bare(9)
    files |= {f"set/labels/bare{n}.txt": b"" for n in range(9)}
    assert _codes(_read(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ("<objects>{}</objects>", 1),
        ("<annotations><objects count='1'>{}</objects></annotations>", 1),
        ("<objects><group>{}</group>{}</objects>", 2),
    ],
)
def test_objects_of_an_xml_are_read_at_any_depth(tmp_path: Path, objects: str, found: int) -> None:
    files = _voc(6)
    xml = files["set/xml/0.xml"].decode()
    at, end = xml.index("<object>"), xml.index("</object>") + len("</object>")
    nested = objects.replace("{}", xml[at:end])
    files["set/xml/0.xml"] = (xml[:at] + nested + xml[end:]).encode()
    dataset = _read(tmp_path, files)
    assert len(dataset.items[0].boxes) == found
    assert not dataset.broken


@pytest.mark.parametrize(
    "unknown",
    [
        "<item><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></item>",
        "<shapes><box label='cat' xtl='1' ytl='1' xbr='9' ybr='9'/></shapes>",
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>",
        "<Objects><Obj xmin='1' ymin='1' xmax='9' ymax='9'>cat</Obj></Objects>",
    ],
)
def test_a_box_outside_of_all_objects_is_an_error_and_no_background(tmp_path: Path, unknown: str) -> None:
    files = _voc(6)
    xml = files["set/xml/0.xml"].decode()
    at, end = xml.index("<object>"), xml.index("</object>") + len("</object>")
    files["set/xml/0.xml"] = (xml[:at] + unknown + xml[end:]).encode()
    dataset = _read(tmp_path, files)
    assert "xml-objects-unread" in _codes(dataset)
    assert dataset.broken == {"set/images/0.jpg"}


def test_the_option_is_one_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = zip_files(tmp_path / "data.zip", _voc(6) | _bare(2, "other"))
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1"]) == 1
    assert UNLABELLED in capsys.readouterr().out
    option = ["--background", "unlabelled", "--processes", "1"]
    assert run(["prepare", str(archive), str(tmp_path / "out2"), *option]) == 0
    metadata = json.loads((tmp_path / "out2" / "dataset_metadata.json").read_bytes())
    assert metadata["images"]["background"] == 2
    assert (metadata["reading"], metadata["options"]["background"]) == (2, "unlabelled")
