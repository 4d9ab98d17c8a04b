"""LabelMe JSON: shapes, places of the files, and what cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import boxes_read, close, images, labelme_files, labelme_json, labelme_shape, truth
from tests.builders.voc import Files, zip_files


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir(exist_ok=True)
    source, findings = extract(
        zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None
    )
    return read_dataset(source, findings)


@pytest.mark.parametrize(
    ("points", "kind", "box"),
    [
        ([[10, 12], [40.5, 50]], "rectangle", (10, 12, 40.5, 50)),
        ([[40.5, 50], [10, 12]], "rectangle", (10, 12, 40.5, 50)),
        ([[10, 12], [40, 12], [40, 50], [10, 50]], "rectangle", (10, 12, 40, 50)),
        ([[20, 12], [40, 30], [10, 50]], "polygon", (10, 12, 40, 50)),
        ([[20, 12], [40, 30], [10, 50]], None, (10, 12, 40, 50)),
        ([[30, 30], [33, 34]], "circle", (25, 25, 35, 35)),
        ([[10, 12], [40, 50]], "mask", (10, 12, 40, 50)),
    ],
)
def test_each_shape_with_an_area_is_the_box_around_it(
    tmp_path: Path, points: Any, kind: str | None, box: tuple[float, ...]
) -> None:
    files = images(["0.jpg"]) | {"0.json": labelme_json("0.jpg", [labelme_shape("ball", points, kind)])}
    dataset = _read(tmp_path, files)
    assert dataset.format == "labelme" and not dataset.broken
    assert close(boxes_read(dataset), {"0.jpg": [("ball", *box)]})


@pytest.mark.parametrize(
    ("image", "document", "path"),
    [
        ("images/p0{}.jpg", "images/p0{}.json", "p0{}.jpg"),
        ("images/p0{}.jpg", "labels/p0{}.json", "../images/p0{}.jpg"),
        ("images/p0{}.jpg", "json/p0{}.json", "..\\images\\p0{}.jpg"),
        ("a/b/p0{}.jpg", "a/b/annotation_{}.json", "p0{}.jpg"),
        ("p0{}.jpg", "p0{}.json", "C:\\Users\\me\\p0{}.jpg"),
        ("train/p0{}.jpg", "train/p0{}.json", "p0{}.jpg"),
    ],
)
def test_a_json_finds_its_image(tmp_path: Path, image: str, document: str, path: str) -> None:
    files: Files = images(image.format(number) for number in range(3))
    for number in range(3):
        shape = labelme_shape(f"class {number}", [[1, 2], [30, 40]])
        files[document.format(number)] = labelme_json(path.format(number), [shape])
    dataset = _read(tmp_path, files)
    assert close(
        boxes_read(dataset), {image.format(number): [(f"class {number}", 1, 2, 30, 40)] for number in range(3)}
    )


SHAPE = labelme_shape("ball", [[1, 2], [30, 40]])


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        (labelme_shape("ball", [[1, 2]], "point"), "shape-without-box"),
        (labelme_shape("ball", [[1, 2], [3, 4]], "line"), "shape-without-box"),
        (labelme_shape("ball", [[1, 2], [3, 4]], "polygon"), "shape-without-box"),
        (labelme_shape("ball", []), "shape-without-box"),
        (labelme_shape("ball", [[1, 2], [3, "x"]]), "shape-without-box"),
        (labelme_shape("ball", [[1, 2], [3, 1e300]]), "shape-without-box"),
        (labelme_shape("ball", [[1, 2], [3]]), "shape-without-box"),
        (labelme_shape("ball", None), "shape-without-box"),
        (labelme_shape("", [[1, 2], [30, 40]]), "class-name-empty"),
        (labelme_shape(None, [[1, 2], [30, 40]]), "class-name-empty"),
        (labelme_shape("a" * 201, [[1, 2], [30, 40]]), "class-name-too-long"),
        (labelme_shape("\ud800", [[1, 2], [30, 40]]), "class-name-invalid"),
        ("no shape", "class-name-empty"),
    ],
)
def test_a_shape_that_cannot_be_used_is_an_error_at_its_line(tmp_path: Path, shape: Any, code: str) -> None:
    files = labelme_files()
    files["images/p00.json"] = labelme_json("p00.jpg", [SHAPE, shape])
    dataset = _read(tmp_path, files)
    [finding] = [each for each in dataset.findings if each.severity == "error"]
    assert (finding.code, finding.path) == (code, "images/p00.json")
    assert finding.line and finding.line > 5
    assert dataset.broken == {"images/p00.jpg"}


@pytest.mark.parametrize(
    "content",
    [
        labelme_json("p00.jpg", [SHAPE])[:-40],
        b'{"shapes": ' + b"[" * 100_000 + b'"imagePath"',
        b'{"imagePath": "p00.jpg", "shapes": [{"label": "\xff"}]}',
        b'{"imagePath": "p00.jpg", "shapes": [' + b"9" * 10_000 + b"]}",
    ],
)
def test_a_broken_json_leaves_its_image_unused(tmp_path: Path, content: bytes) -> None:
    files = labelme_files()
    files["images/p00.json"] = content
    dataset = _read(tmp_path, files)
    assert "json-invalid" in {finding.code for finding in dataset.findings}
    assert "images/p00.jpg" in dataset.broken
    assert close(
        {name: boxes for name, boxes in boxes_read(dataset).items() if name != "images/p00.jpg"},
        {name: boxes for name, boxes in truth().items() if name != "images/p00.jpg"},
    )


def test_no_shapes_are_no_objects(tmp_path: Path) -> None:
    files = labelme_files()
    files["images/p00.json"] = labelme_json("p00.jpg", [])
    dataset = _read(tmp_path, files)
    assert next(item for item in dataset.items).annotation == "images/p00.json"
    assert not dataset.broken
