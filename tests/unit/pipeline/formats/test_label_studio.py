"""Label Studio JSON: regions, paths of images, and what cannot be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset
from pipeline.formats import label_studio, read_dataset
from tests.builders.listed import (
    boxes_read,
    choice_files,
    close,
    images,
    label_studio_files,
    label_studio_min_files,
    region,
    task,
    truth,
)
from tests.builders.voc import SIZE, Files, zip_files

W, H = SIZE
SIDES = {"x": 10, "y": 25, "width": 50, "height": 50}
UPRIGHT = (0.1 * W, 0.25 * H, 0.6 * W, 0.75 * H)


def _read(tmp_path: Path, files: Files) -> Dataset:
    return label_studio.read(_source(tmp_path, files))


def _source(tmp_path: Path, files: Files) -> ExtractedArchive:
    (tmp_path / "into").mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0]


def _export(*tasks: Any) -> bytes:
    return json.dumps(tasks).encode()


@pytest.mark.parametrize(
    "path",
    [
        "/data/upload/1/3f2a9c1b-{base}",
        "/data/local-files/?d=set/{image}",
        "s3://bucket/set/{image}",
        "https://a.b/c/{image}?X-Amz-Signature=1",
        "{image}",
        "C:\\set\\{base}",
    ],
)
def test_an_image_is_found_by_its_address(tmp_path: Path, path: str) -> None:
    boxes = truth()
    boxes["images/p03.jpg"] = []
    dataset = _read(tmp_path, label_studio_files(boxes, path=path))
    assert close(boxes_read(dataset), boxes)
    assert {item.annotation for item in dataset.items} == {"export.json"} and not dataset.findings


def test_the_name_with_the_letters_of_the_upload_is_found_too(tmp_path: Path) -> None:
    boxes = truth(folder="3f2a9c1b-")
    assert close(boxes_read(_read(tmp_path, label_studio_files(boxes, path="/data/upload/1/{image}"))), boxes)


@pytest.mark.parametrize(
    ("shape", "box", "code"),
    [
        (region("ball", **SIDES), UPRIGHT, None),
        (region("ball", "labels", **SIDES), UPRIGHT, None),
        (region("ball", "polygonlabels", points=[[10, 25], [60, 50], [30, 75]]), UPRIGHT, "polygons-as-boxes"),
        (region("ball", "ellipselabels", x=35, y=50, radiusX=25, radiusY=25), UPRIGHT, "polygons-as-boxes"),
        (region("ball", **SIDES | {"rotation": 360}), UPRIGHT, "rotated-as-boxes"),
        (
            region("ball", **SIDES | {"x": 60, "rotation": 90}),
            (0.6 * W - 0.5 * H, 0.25 * H, 0.6 * W, 0.25 * H + 0.5 * W),
            "rotated-as-boxes",
        ),
    ],
)
def test_each_region_with_an_area_is_the_upright_box_around_it(
    tmp_path: Path, shape: Any, box: tuple[float, ...], code: str | None
) -> None:
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    export = _export(task("0.jpg", [shape, choice]))
    dataset = _read(tmp_path, images(["0.jpg"]) | {"export.json": export})
    assert close(boxes_read(dataset), {"0.jpg": [("ball", *box)]})
    assert [finding.code for finding in dataset.findings] == ([code] if code else [])


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (task("1.jpg", [region("ball", "keypointlabels", x=1, y=2)]), "shape-without-box"),
        (task("1.jpg", [region("ball", "brushlabels", rle=[1, 2], format="rle")]), "shape-without-box"),
        (task("1.jpg", [region("ball", "polygonlabels", points=[[1, 2], [3, 4]])]), "shape-without-box"),
        (task("1.jpg", [region("ball", **SIDES | {"x": "10"})]), "shape-without-box"),
        (task("1.jpg", [region("ball", **SIDES | {"x": 1e300})]), "shape-without-box"),
        (task("1.jpg", [region([], **SIDES)]), "class-name-empty"),
        (task("1.jpg", [region(["a", "b"], **SIDES)]), "class-name-empty"),
        (task("1.jpg", [{"id": "x", "type": "rectangle", "value": SIDES}]), "class-name-empty"),
        (task("1.jpg", [region("b" * 201, **SIDES)]), "class-name-too-long"),
        (task("1.jpg", [region("ball", **SIDES) | {"image_rotation": 90}]), "json-entry-invalid"),
        (task("1.jpg", [], annotations=[{"result": []}, {"result": []}]), "image-annotated-twice"),
        (task("1.jpg", None), "image-annotated-twice"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_its_image_is_not_used(tmp_path: Path, second: Any, code: str) -> None:
    export = _export(task("0.jpg", [region("ball", **SIDES)]), second)
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"export.json": export})
    assert [(each.code, each.path) for each in dataset.findings] == [(code, "export.json")]
    assert dataset.broken == {"1.jpg"}


@pytest.mark.parametrize("annotations", [[], [{"was_cancelled": True, "result": []}], None])
def test_a_task_without_an_annotation_states_nothing(tmp_path: Path, annotations: Any) -> None:
    export = _export(task("0.jpg", [region("ball", **SIDES)]), task("1.jpg", [], annotations=annotations))
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"export.json": export})
    assert [item.annotation for item in dataset.items] == ["export.json", None]


@pytest.mark.parametrize(
    "content",
    [
        _export(task("0.jpg", []))[:-5],
        b"[" * 100_000 + b'"annotations" "result" "data"',
        b'[{"annotations": "result", "data": ' + b"9" * 10_000 + b"}]",
        _export({"annotations": [], "data": {"text": "result"}}),
        b'[1, {"annotations": "result", "data": []}]',
    ],
)
def test_hostile_and_broken_exports_use_no_label(tmp_path: Path, content: bytes) -> None:
    dataset = _read(tmp_path, images(["0.jpg"]) | {"export.json": content})
    assert {finding.code for finding in dataset.findings} <= {"json-invalid", "json-entry-invalid"}
    assert dataset.findings and not any(item.boxes for item in dataset.items)
    assert dataset.broken or dataset.lost


def test_json_min_has_the_same_boxes(tmp_path: Path) -> None:
    boxes = truth()
    boxes["images/p03.jpg"] = []
    dataset = read_dataset(_source(tmp_path, label_studio_min_files(boxes)), [])
    assert dataset.format == "label-studio" and close(boxes_read(dataset), boxes)
    assert not dataset.broken and not dataset.findings


@pytest.mark.parametrize("flat", [False, True])
def test_choices_are_the_classes_of_whole_images_and_never_background(tmp_path: Path, flat: bool) -> None:
    classes = {f"images/p{number}.jpg": ("cat", "dog")[number % 2] for number in range(6)}
    dataset = read_dataset(_source(tmp_path, choice_files(classes, flat=flat)), [])
    assert (dataset.format, dataset.kind) == ("label-studio-choices", "classification") and not dataset.broken
    assert {item.image.name: item.label for item in dataset.items} == classes


def test_two_choices_of_one_image_are_an_error(tmp_path: Path) -> None:
    files = choice_files({f"{number}.jpg": ("cat", "dog")[number % 2] for number in range(4)})
    files["export.json"] = files["export.json"].replace(b'"cat"', b'"cat", "dog"', 1)
    dataset = read_dataset(_source(tmp_path, files), [])
    assert [each.code for each in dataset.findings] == ["class-name-empty"] and dataset.broken == {"0.jpg"}
