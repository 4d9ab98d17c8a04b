"""Large images by tiles: every object once, where it is, however the seams lie."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pipeline.predictor import predictor as predictor_module
from pipeline.predictor.images import ImageUnreadable
from pipeline.predictor.predictor import ExportPredictor, Prediction, PredictionFailed, PredictionStopped
from pipeline.predictor.tile_options import TilesInvalid
from pipeline.predictor.tiles import MAX_BATCH, MAX_TILES, Tile, count_parts, merged, tiles_of
from tests.builders.ideal_detector import SIDE, IdealDetector
from tests.builders.onnx_models import described, onnx_classifier, scene

COLOURS = ((230, 20, 20), (20, 230, 20), (20, 20, 230))
SQUARE = 24  # px
sides = st.integers(1, 3000)
shares = st.floats(0, 0.9)


@pytest.fixture
def detector() -> ExportPredictor:
    return ExportPredictor(Path("ideal.onnx"), engine=IdealDetector())


def png(size: tuple[int, int], squares: list[tuple[int, int, int]], *, side: int = SQUARE) -> bytes:
    """`squares`: x, y and class."""
    image = Image.new("RGB", size, (128, 128, 128))
    pen = ImageDraw.Draw(image)
    for x, y, kind in squares:
        pen.rectangle((x, y, x + side - 1, y + side - 1), fill=COLOURS[kind])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def predicted(detector: ExportPredictor, content: bytes, **options: Any) -> Prediction:
    (result,) = detector.predict([content], **options)
    assert isinstance(result, Prediction), result
    return result


def corners(found: Prediction) -> list[tuple[int, ...]]:
    return sorted((*map(round, (b.x1, b.y1, b.x2, b.y2)), b.class_index) for b in found.boxes)


@given(sides, sides, st.integers(32, 4000), shares)
def test_tiles_cover_the_image_and_share_the_overlap(width: int, height: int, tile: int, overlap: float) -> None:
    try:
        tiles = tiles_of(width, height, tile=tile, overlap=overlap)
    except ImageUnreadable:
        step = tile * (1 - overlap)
        assert (width / step + 1) * (height / step + 1) > MAX_TILES / 2
        return
    assert len(tiles) <= MAX_TILES
    assert {(each.right - each.left, each.bottom - each.top) for each in tiles} == {
        (min(tile, width), min(tile, height))
    }
    for length, ends in ((width, {(t.left, t.right) for t in tiles}), (height, {(t.top, t.bottom) for t in tiles})):
        spans = sorted(ends)
        assert (spans[0][0], spans[-1][1]) == (0, length)
        assert all(one[1] - other[0] >= overlap * tile - 1e-6 for one, other in pairwise(spans))


box = st.tuples(*[st.floats(0, 1, width=32)] * 5, st.integers(0, 2))


@given(st.lists(st.tuples(st.integers(0, 8), box), max_size=30), st.floats(0, 1))
def test_merged_boxes_lie_in_the_image_best_first_and_none_is_made_up(
    found: list[tuple[int, tuple[float, ...]]], iou: float
) -> None:
    tiles = [Tile(0, 0, 300, 300), *tiles_of(300, 300, tile=120, overlap=0.1)]
    parts = []
    for index, tile in enumerate(tiles):
        size = tile.right - tile.left
        rows = [
            (size * min(x, u), size * min(y, v), size * max(x, u), size * max(y, v), score, kind)
            for place, (x, y, u, v, score, kind) in found
            if place == index
        ]
        parts.append((tile, np.array(rows, np.float32).reshape(-1, 6)))
    boxes = merged(parts, (300, 300), iou=iou)
    assert ((boxes[:, :4] >= 0) & (boxes[:, :4] <= 300)).all()
    assert list(boxes[:, 4]) == sorted(boxes[:, 4], reverse=True)
    assert (len(boxes) > 0) == any(place < len(tiles) for place, _ in found)
    offsets = [rows + np.array([t.left, t.top, t.left, t.top, 0, 0], np.float32) for t, rows in parts]
    given_rows = {tuple(row) for row in np.concatenate(offsets).tolist()}
    assert all(tuple(row) in given_rows for row in boxes.tolist())


def test_one_tile_that_has_all_of_the_image_changes_nothing(detector: ExportPredictor) -> None:
    for size in ((256, 128), (100, 77), (300, 301)):
        content = png(size, [(5, 9, 0), (60, 40, 2)])
        whole = predicted(detector, content)
        tiled = predicted(detector, content, tile=301, overlap=0.5)
        assert whole.boxes and (tiled.boxes, tiled.tiles) == (whole.boxes, 0)


def test_small_objects_of_a_large_image_are_found_once_also_on_seams(detector: ExportPredictor) -> None:
    """Tiles start every 83 or 79 px, squares stand every 67 or 61: at all distances to the seams."""
    squares = [(x, y, (x + y) % 3) for x in range(0, 600, 67) for y in range(0, 500, 61)]
    content = png((624, 524), squares)
    assert not predicted(detector, content).boxes, "as a whole they are 5 px"
    found = predicted(detector, content, tile=SIDE, overlap=0.25)
    assert found.tiles == 42
    assert corners(found) == sorted((x, y, x + SQUARE, y + SQUARE, kind) for x, y, kind in squares)


def test_an_object_larger_than_a_tile_has_one_box(detector: ExportPredictor) -> None:
    """Every tile of 64 px sees a part of the square of 80, and each part has a higher score."""
    found = predicted(detector, png((256, 256), [(90, 70, 1)], side=80), tile=64)
    assert corners(found) == [(90, 70, 170, 150, 1)]


def test_tiles_are_those_of_the_upright_image(detector: ExportPredictor) -> None:
    upright = png((300, 420), [(40, 300, 0), (200, 20, 1), (210, 360, 2)])
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.open(io.BytesIO(upright)).transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    wanted, found = (predicted(detector, each, tile=SIDE) for each in (upright, buffer.getvalue()))
    assert len(wanted.boxes) == 3 and found.boxes == wanted.boxes
    assert (found.width, found.height, found.orientation) == (300, 420, 6)


def test_the_image_is_decoded_once(detector: ExportPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = predictor_module.decode
    monkeypatch.setattr(predictor_module, "decode", lambda *a, **k: decoded.append(1) or decode(*a, **k))
    assert predicted(detector, png((600, 400), []), tile=64).tiles > 50
    assert decoded == [1]


def test_tiles_are_not_computed_any_more_when_nobody_waits(
    detector: ExportPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = IdealDetector.run
    monkeypatch.setattr(IdealDetector, "run", lambda self, batch: runs.append(len(batch)) or run(self, batch))
    with pytest.raises(PredictionStopped):
        detector.predict([png((600, 400), [])], tile=64, is_stopped=lambda: len(runs) == 2)
    assert runs == [1, MAX_BATCH]


def test_tiles_are_counted_as_they_are_computed_and_before_they_are_listed(detector: ExportPredictor) -> None:
    assert predicted(detector, png((600, 400), []), tile=64).tiles + 1 == count_parts(600, 400, tile=64, overlap=0.2)
    assert count_parts(60, 64, tile=64, overlap=0.2) == 1
    assert count_parts(10**15, 1, tile=32, overlap=0.9) == 0
    with pytest.raises(ImageUnreadable, match="tiles of 32 px"):
        tiles_of(10**15, 1, tile=32, overlap=0.9)


def test_an_image_of_too_many_tiles_fails_alone(detector: ExportPredictor) -> None:
    large, small = png((2000, 2000), []), png((200, 200), [(30, 30, 0)])
    refused, found = detector.predict([large, small], tile=64, overlap=0.5)
    assert isinstance(refused, PredictionFailed) and "3844 tiles of 64 px" in refused.reason
    assert isinstance(found, Prediction) and len(found.boxes) == 1


def test_a_classifier_and_options_out_of_range_are_refused(detector: ExportPredictor, tmp_path: Path) -> None:
    onnx.save(described(onnx_classifier(), "classification", "logits"), str(tmp_path / "classifier.onnx"))
    with pytest.raises(TilesInvalid, match="classifier"):
        ExportPredictor(tmp_path / "classifier.onnx").predict([scene("red", "blue")], tile=128)
    for tile, overlap in ((31, 0.2), (65_537, 0.2), (64, -0.1), (64, 0.91)):
        with pytest.raises(TilesInvalid):
            detector.predict([scene("red", "blue")], tile=tile, overlap=overlap)
