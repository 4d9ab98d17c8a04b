"""CVAT XML for images: shapes, paths, subsets, and what cannot be read."""

from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset
from pipeline.formats import cvat, read_dataset
from tests.builders.listed import boxes_read, close, cvat_files, cvat_xml, images, truth
from tests.builders.voc import Files, zip_files

BOX = '<box label="ball" xtl="1" ytl="2" xbr="30" ybr="40" occluded="0"><attribute name="a">b</attribute></box>'


def _source(tmp_path: Path, files: Files) -> ExtractedArchive:
    (tmp_path / "into").mkdir(exist_ok=True)
    return extract(zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None)[0]


def _read(tmp_path: Path, files: Files) -> Dataset:
    return read_dataset(_source(tmp_path, files), [])


@pytest.mark.parametrize(
    ("shape", "box", "code"),
    [
        (BOX, (1, 2, 30, 40), None),
        ('<polygon label="ball" points="20.5,12;40,30;10,50"/>', (10, 12, 40, 50), "polygons-as-boxes"),
        ('<ellipse label="ball" cx="30" cy="20" rx="10" ry="5"/>', (20, 15, 40, 25), "polygons-as-boxes"),
        ('<mask label="ball" rle="1" left="3" top="4" width="10" height="20"/>', (3, 4, 13, 24), "polygons-as-boxes"),
        (BOX.replace("occluded", 'rotation="90" occluded'), (-3.5, 6.5, 34.5, 35.5), "rotated-as-boxes"),
        (
            '<box label="ball" xtl="20" ytl="20" xbr="40" ybr="40" rotation="45"/>',
            (15.858, 15.858, 44.142, 44.142),
            "rotated-as-boxes",
        ),
    ],
)
def test_each_shape_with_an_area_is_the_upright_box_around_it(
    tmp_path: Path, shape: str, box: tuple[float, ...], code: str | None
) -> None:
    dataset = _read(tmp_path, images(["0.jpg"]) | {"annotations.xml": cvat_xml({"0.jpg": [shape]})})
    assert dataset.format == "cvat" and not dataset.broken
    assert close(boxes_read(dataset), {"0.jpg": [("ball", *box)]})
    assert [finding.code for finding in dataset.findings] == ([code] if code else [])


@pytest.mark.parametrize("name", ["p0{}.jpg", "images/p0{}.jpg", "other/images/p0{}.jpg"])
def test_images_are_found_by_name_and_without_shapes_have_no_objects(tmp_path: Path, name: str) -> None:
    names = [f"set/images/p0{number}.jpg" for number in range(3)]
    shapes = {name.format(number): [BOX] if number else [] for number in range(3)}
    dataset = _read(tmp_path, images(names) | {"set/annotations.xml": cvat_xml(shapes)})
    assert close(boxes_read(dataset), {each: [("ball", 1, 2, 30, 40)] if at else [] for at, each in enumerate(names)})
    assert {item.annotation for item in dataset.items} == {"set/annotations.xml"}


def test_subsets_are_the_split(tmp_path: Path) -> None:
    subsets = {"0.jpg": "Train", "1.jpg": "Validation", "2.jpg": "Test"}
    xml = cvat_xml({name: [BOX] for name in subsets}, subsets=subsets)
    dataset = _read(tmp_path, images(subsets) | {"annotations.xml": xml})
    assert [item.split for item in dataset.items] == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ('<points label="ball" points="1,2"/>', "shape-without-box"),
        ('<polyline label="ball" points="1,2;3,4;5,6"/>', "shape-without-box"),
        ('<polygon label="ball" points="1,2;3,4"/>', "shape-without-box"),
        ('<polygon label="ball" points="1,2;3,x;5,6"/>', "shape-without-box"),
        (BOX.replace('"30"', '"1e999"'), "shape-without-box"),
        (BOX.replace('xbr="30"', ""), "shape-without-box"),
        (BOX.replace("occluded", 'rotation="x" occluded'), "shape-without-box"),
        (BOX.replace('"ball"', '""'), "class-name-empty"),
        (BOX.replace("ball", "b" * 201), "class-name-too-long"),
        ("<box/>", "class-name-empty"),
    ],
)
def test_a_shape_that_cannot_be_used_is_an_error_at_its_line(tmp_path: Path, shape: str, code: str) -> None:
    xml = cvat_xml({"0.jpg": [BOX, shape], "1.jpg": [BOX]})
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"annotations.xml": xml})
    assert [(each.code, each.line) for each in dataset.findings] == [(code, 8)]
    assert dataset.broken == {"0.jpg"}


BOMB = '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (cvat_xml({"0.jpg": [BOX]}, head=BOMB), "xml-dtd"),
        (cvat_xml({"0.jpg": [BOX]}, head=BOMB).decode().replace("utf-8", "utf-16").encode("utf-16"), "xml-dtd"),
        (cvat_xml({"0.jpg": [BOX], "1.jpg": [BOX]})[:-90], "xml-invalid"),
        (cvat_xml({"0.jpg": ["<a>" * 100_000]}), "xml-invalid"),
        (cvat_xml({"0.jpg": [BOX], "": [BOX]}), "xml-invalid"),
    ],
)
def test_hostile_and_broken_xml_uses_no_label(tmp_path: Path, content: bytes, code: str) -> None:
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"annotations.xml": content})
    assert code in {finding.code for finding in dataset.findings}
    assert dataset.broken == {"0.jpg", "1.jpg"}


def test_cvat_for_video_is_named(tmp_path: Path) -> None:
    xml = b'<annotations><version>1.1</version><track id="0" label="ball"/></annotations>'
    missing = cvat.matches(_source(tmp_path, images(["0.jpg"]) | {"annotations.xml": xml}))
    assert missing == "annotations.xml is CVAT for video, without <image>: export the task as CVAT for images."


def test_many_images_are_read_with_all_their_boxes(tmp_path: Path) -> None:
    boxes = truth(40)
    assert close(boxes_read(_read(tmp_path, cvat_files(boxes))), boxes)
