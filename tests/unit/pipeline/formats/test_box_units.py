"""The unit and the shape of boxes are decided from all of them; what fits no reading is an error that says so."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from pipeline.process.progress import StageReporter
from pipeline.repair.rewrite_zip import repair
from tests.builders.listed import H, Truth, W, boxes_read, close
from tests.builders.voc import Files, image_bytes, zip_files

FILES = 10
Sides = tuple[float, float, float, float]  # left, top, width, height as fractions


def _read(tmp_path: Path, files: Files) -> Dataset:
    archive = zip_files(tmp_path / "data.zip", files)
    return _read_zip(archive, tmp_path / "into")


def _read_zip(archive: Path, into: Path) -> Dataset:
    into.mkdir(exist_ok=True)
    return read_dataset(extract(archive, into, threads=1, tick=lambda *_: None)[0], [])


def _sides(rng: random.Random) -> Sides:
    width, height = rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.5)
    return rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height


def _as_corners(box: Sides) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _as_centre(box: Sides) -> list[float]:
    x, y, width, height = box
    return [x + width / 2, y + height / 2, width, height]


def _yolo(boxes: list[Sides], written: Callable[[Sides], list[float]]) -> Files:
    """Two boxes for each image."""
    files: Files = {"classes.txt": b"weld\n"}
    for number in range(0, len(boxes), 2):
        rows = [" ".join(["0", *(f"{value:.6f}" for value in written(box))]) for box in boxes[number : number + 2]]
        files[f"images/{number:02d}.jpg"] = image_bytes(seed=number)
        files[f"labels/{number:02d}.txt"] = "\n".join(rows).encode()
    return files


def _truth(boxes: list[Sides]) -> Truth:
    truth: Truth = {}
    for number, box in enumerate(boxes):
        x1, y1, x2, y2 = _as_corners(box)
        truth.setdefault(f"images/{number // 2 * 2:02d}.jpg", []).append(("weld", x1 * W, y1 * H, x2 * W, y2 * H))
    return truth


def _codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.findings]


@pytest.mark.parametrize("seed", range(8))
def test_yolo_labels_of_corners_are_read_as_corners_and_reported_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    boxes = [_sides(rng) for _ in range(2 * FILES)]
    dataset = _read(tmp_path, _yolo(boxes, _as_corners))
    assert close(boxes_read(dataset), _truth(boxes)) and not dataset.broken
    assert _codes(dataset) == ["corners-as-boxes"]


@pytest.mark.parametrize("seed", range(8))
def test_yolo_labels_of_centres_stay_centres_with_a_box_beyond_the_image(tmp_path: Path, seed: int) -> None:
    rng = random.Random(100 + seed)
    boxes = [_sides(rng) for _ in range(2 * FILES - 1)] + [(-0.2, 0.3, 0.5, 0.5)]
    dataset = _read(tmp_path, _yolo(boxes, _as_centre))
    assert close(boxes_read(dataset), _truth(boxes)) and _codes(dataset) == []


@pytest.mark.parametrize("seed", range(8))
def test_yolo_labels_that_begin_with_the_left_top_corner_are_refused_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(200 + seed)
    boxes = [_sides(rng) for _ in range(2 * FILES)]
    dataset = _read(tmp_path, _yolo(boxes, list))
    assert _codes(dataset) == ["box-columns-unclear"] and len(dataset.broken) == FILES
    assert "left, top, width, height" in dataset.findings[0].detail


def test_a_repair_writes_labels_of_corners_as_centres(tmp_path: Path) -> None:
    rng = random.Random(1)
    boxes = [_sides(rng) for _ in range(2 * FILES)]
    before = _read(tmp_path, _yolo(boxes, _as_corners))
    (tmp_path / "scratch").mkdir()
    repair(tmp_path / "data.zip", tmp_path / "repaired.zip", tmp_path / "scratch", processes=1, steps=StageReporter())
    after = _read_zip(tmp_path / "repaired.zip", tmp_path / "again")
    assert close(boxes_read(after), boxes_read(before), within=0.1) and _codes(after) == []


@pytest.mark.parametrize("scale", [(W, H), (100, 100)])
@pytest.mark.parametrize("written", [_as_corners, _as_centre, list])
def test_yolo_labels_in_pixels_or_percent_are_one_error(
    tmp_path: Path, scale: tuple[int, int], written: Callable[[Sides], list[float]]
) -> None:
    rng = random.Random(3)

    def scaled(box: Sides) -> list[float]:
        return [value * scale[at % 2] for at, value in enumerate(written(box))]

    dataset = _read(tmp_path, _yolo([_sides(rng) for _ in range(2 * FILES)], scaled))
    assert _codes(dataset) == ["box-not-normalised"] and len(dataset.broken) == FILES
    assert dataset.findings[0].path.startswith("labels/") and "10 label files" in dataset.findings[0].detail


def _coco(boxes: list[list[float]], first: int = 0) -> tuple[Files, bytes]:
    numbers = range(first, first + len(boxes))
    document = {
        "images": [{"id": n, "file_name": f"{n:02d}.jpg", "width": W, "height": H} for n in numbers],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": box} for n, box in zip(numbers, boxes, strict=True)
        ],
        "categories": [{"id": 1, "name": "weld"}],
    }
    return {f"images/{n:02d}.jpg": image_bytes(seed=n) for n in numbers}, json.dumps(document, indent=1).encode()


FRACTION, PIXELS = [0.25, 0.25, 0.5, 0.4], [10, 12, 30, 20]


@pytest.mark.parametrize("small", [{0}, {9}, {0, 1, 2, 3, 4}, {1, 3, 5, 7, 9}, set(range(9)), set(range(1, 10))])
def test_coco_boxes_in_fractions_among_boxes_in_pixels_are_errors_of_their_records(
    tmp_path: Path, small: set[int]
) -> None:
    images, document = _coco([FRACTION if number in small else PIXELS for number in range(FILES)])
    dataset = _read(tmp_path, images | {"a.json": document})
    assert {finding.code for finding in dataset.findings} == {"box-units-mixed"}
    assert len({finding.line for finding in dataset.findings}) == len(small)
    assert dataset.broken == {f"images/{number:02d}.jpg" for number in small}


@pytest.mark.parametrize("first", [FRACTION, PIXELS])
def test_coco_files_of_two_units_are_an_error_of_the_one_in_fractions(tmp_path: Path, first: list[float]) -> None:
    second = PIXELS if first is FRACTION else FRACTION
    images, document = _coco([first] * 5)
    more, other = _coco([second] * 5, first=5)
    dataset = _read(tmp_path, images | more | {"train.json": document, "val.json": other})
    (error,) = [finding for finding in dataset.findings if finding.severity == "error"]
    assert (error.code, error.path) == ("box-units-mixed", "train.json" if first is FRACTION else "val.json")
    assert len(dataset.broken) == 5


def test_a_coco_box_beyond_a_million_pixels_is_an_error_of_its_record(tmp_path: Path) -> None:
    images, document = _coco([[999_999, 10, 999_999, 20] if number == 3 else PIXELS for number in range(FILES)])
    dataset = _read(tmp_path, images | {"a.json": document})
    assert _codes(dataset) == ["box-not-a-number"] and dataset.broken == {"images/03.jpg"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unit", [(W, H), (1, 1)])
def test_coco_boxes_of_corners_are_refused_once(tmp_path: Path, seed: int, unit: tuple[int, int]) -> None:
    rng = random.Random(seed)
    corners = [[value * unit[at % 2] for at, value in enumerate(_as_corners(_sides(rng)))] for _ in range(FILES)]
    images, document = _coco(corners)
    dataset = _read(tmp_path, images | {"a.json": document})
    errors = [finding.code for finding in dataset.findings if finding.severity == "error"]
    assert errors == ["box-columns-unclear"] and len(dataset.broken) == FILES
