"""The columns of YOLO labels are decided once for the whole set, or refused at the first line."""

import math
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.archive.extract import extract
from pipeline.dataset.model import FRACTION, Dataset
from pipeline.formats import read_dataset
from tests.builders.voc import Files, image_bytes, zip_files

FILES = 12
Line = list[float]


def _box(rng: random.Random) -> Line:
    """Right of the middle, where the first two pairs of a polygon would not pass for a box inside the image."""
    width, height = rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3)
    return [rng.uniform(width / 2, 1 - width / 2), rng.uniform(height / 2, 1 - height / 2), width, height]


def _keypoints(box: Line, count: int, rng: random.Random) -> list[Line]:
    x, y, width, height = box
    return [[x + rng.uniform(-0.5, 0.5) * width, y + rng.uniform(-0.5, 0.5) * height] for _ in range(count)]


def _polygon(count: int, rng: random.Random) -> Line:
    x, y, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.2)
    turns = sorted(rng.random() * 2 * math.pi for _ in range(count))
    return [value for turn in turns for value in (x + radius * math.cos(turn), y + radius * math.sin(turn))]


def _oriented(rng: random.Random) -> Line:
    x, y, turn = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.2, 1.3)
    along = (0.2 * math.cos(turn), 0.2 * math.sin(turn))
    across = (-0.1 * math.sin(turn), 0.1 * math.cos(turn))
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [value for a, b in signs for value in (x + a * along[0] + b * across[0], y + a * along[1] + b * across[1])]


class Made(NamedTuple):
    """Numbers after the class, and the box (left, top, right, bottom) that they mean."""

    values: Line
    means: Line


def _of_box(box: Line, more: Line) -> Made:
    x, y, width, height = box
    return Made([*box, *more], [x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def _of_points(values: Line) -> Made:
    return Made(values, [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])])


def _made(kind: str, number: int, rng: random.Random) -> Made:
    box = _box(rng)
    match kind.split():
        case ["confidence"]:
            return _of_box(box, [rng.uniform(0.2, 0.99)])
        case ["track"]:
            return _of_box(box, [float(1 + number // 3)])
        case ["track", "1"]:
            return _of_box(box, [1.0])
        case ["confidence", "track"]:
            return _of_box(box, [rng.uniform(0.2, 0.99), float(1 + number % 2)])
        case ["track", "confidence"]:
            return _of_box(box, [1.0, rng.uniform(0.2, 0.99)])
        case ["keypoints", "visible", count]:
            points = _keypoints(box, int(count), rng)
            return _of_box(box, [value for point in points for value in (*point, float(rng.choice((1, 2))))])
        case ["keypoints", "plain", count]:
            return _of_box(box, [value for point in _keypoints(box, int(count), rng) for value in point])
        case ["polygon", count]:
            return _of_points(_polygon(int(count), rng))
        case ["polygon"]:
            return _of_points(_polygon(3 + number % 9, rng))
        case ["oriented"]:
            return _of_points(_oriented(rng))
    raise AssertionError(kind)


READ = [
    ("confidence", "confidence-left-out"),
    ("track", "track-id-left-out"),
    ("track 1", "track-id-left-out"),
    ("confidence track", "track-id-left-out"),
    ("track confidence", "track-id-left-out"),
    *((f"keypoints visible {count}", "keypoints-left-out") for count in (1, 2, 3, 4, 5, 17)),
    *((f"keypoints plain {count}", "keypoints-left-out") for count in (2, 3, 4, 17)),
    ("polygon", "polygons-as-boxes"),
    *((f"polygon {count}", "polygons-as-boxes") for count in (3, 4, 5, 20)),
    ("oriented", "boxes-oriented"),
]


@pytest.mark.parametrize(("kind", "code"), READ)
@pytest.mark.parametrize("boxes_every", [0, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_columns_of_a_set_have_one_reading_and_its_evidence_is_reported(
    tmp_path: Path, kind: str, code: str, boxes_every: int, seed: int
) -> None:
    """`boxes_every`: so many files hold plain boxes beside the others."""
    rng = random.Random(f"{kind} {seed}")
    made = [
        _of_box(_box(rng), []) if boxes_every and number % boxes_every == 0 else _made(kind, number, rng)
        for number in range(FILES)
    ]
    dataset = _read(tmp_path, [[each.values] for each in made])
    assert [finding.code for finding in dataset.findings if finding.severity != "note"] == (
        [code] if code not in ("keypoints-left-out", "polygons-as-boxes") else []
    )
    assert [finding.code for finding in dataset.findings].count(code) == 1
    for item, each in zip(dataset.items, made, strict=True):
        (box,) = item.boxes
        assert [value / FRACTION for value in box[1:5]] == pytest.approx(each.means, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.5, 0.2, 0.2, 1.57], "sixth is neither a confidence"),
        ([0.5, 0.5, 0.2, 0.2, 0.3, 0.4, 0.9], "8 columns"),
        ([0.5, 0.5, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.9], "four corners of an oriented box"),
        ([0.5, 0.5, 0.2, 0.2, 0.3, 0.3, 7.0], "8 columns"),
        ([0.5, 0.5, 0.2, 0.2, 31.0, 12.0, 5.0, 9.0], "9 columns"),
    ],
)
def test_columns_that_fit_no_reading_or_two_are_one_error_at_the_first_line(
    tmp_path: Path, values: Line, words: str
) -> None:
    dataset = _read(tmp_path, [[[0.5, 0.5, 0.2, 0.2]], *([[[0.4, 0.4, 0.1, 0.1], values]] * 3)])
    (error,) = (finding for finding in dataset.findings if finding.severity == "error")
    assert (error.code, error.path, error.line) == ("label-line-invalid", "labels/001.txt", 2)
    assert words in error.detail and "in 3 label files" in error.detail
    assert dataset.broken == {f"images/{number:03d}.jpg" for number in (1, 2, 3)}


@pytest.mark.parametrize("line", [[0.5, 0.5, 0.6, 0.5, 0.6, 0.6], [0.4, 0.4, 0.5, 0.4, 0.55, 0.5, 0.5, 0.6, 0.4, 0.5]])
def test_polygons_that_could_be_keypoints_are_refused_unless_they_are_among_boxes(tmp_path: Path, line: Line) -> None:
    (error,) = (finding for finding in _read(tmp_path, [[line]] * 3).findings if finding.severity == "error")
    assert "may be polygons, or boxes with keypoints. State `kpt_shape`" in error.detail
    dataset = _read(tmp_path, [[line, [0.5, 0.5, 0.2, 0.2]]] * 3)
    assert [finding.code for finding in dataset.findings] == ["polygons-as-boxes"]


@pytest.mark.parametrize("corner", [0.1, 0.4, 0.7])
def test_four_corners_of_an_upright_rectangle_are_a_polygon(tmp_path: Path, corner: float) -> None:
    far = corner + 0.2
    dataset = _read(tmp_path, [[[corner, corner, far, corner, far, far, corner, far]]] * 3)
    assert [finding.code for finding in dataset.findings] == ["polygons-as-boxes"]


def test_a_box_that_reaches_beyond_its_image_changes_the_reading_of_no_other_line(tmp_path: Path) -> None:
    lines = [[[0.3 + number / 40, 0.5, 0.2, 0.3, 0.9 + number / 1000, 1.0]] for number in range(FILES)]
    lines[4][0][:2] = [0.95, 0.5]
    dataset = _read(tmp_path, lines)
    assert [finding.code for finding in dataset.findings if finding.code != "class-names-missing"] == [
        "track-id-left-out"
    ]


def test_kpt_shape_decides(tmp_path: Path) -> None:
    lines = [[[0.5, 0.5, 0.4, 0.4, 0.55, 0.55]]] * 3
    dataset = _read(tmp_path, lines, {"data.yaml": b"names: [a]\nkpt_shape: [1, 2]\n"})
    assert [finding.code for finding in dataset.findings] == ["keypoints-left-out"]


def _read(tmp_path: Path, labels: list[list[Line]], more: Files | None = None) -> Dataset:
    files: Files = dict(more or {"classes.txt": b"a\n"})
    for number, lines in enumerate(labels):
        text = "\n".join("0 " + " ".join(f"{value:.6f}" for value in line) for line in lines)
        files[f"labels/{number:03d}.txt"] = text.encode()
        files[f"images/{number:03d}.jpg"] = image_bytes(seed=number)
    archive = zip_files(tmp_path / "data.zip", files)
    source, findings = extract(archive, tmp_path, threads=1, tick=lambda *_: None)
    return read_dataset(source, findings)
