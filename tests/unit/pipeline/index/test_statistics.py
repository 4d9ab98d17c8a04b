"""The numbers that are drawn of an image index."""

from pathlib import Path

import pytest

from pipeline.index import statistics
from pipeline.index.statistics import BINS, CELLS, read_statistics
from pipeline.index.write import write_index
from tests.builders.indexed import box, indexed_image


def test_boxes_are_counted_where_their_centres_are_and_images_by_split(tmp_path: Path) -> None:
    images = [
        indexed_image("a.jpg", boxes=(box(0, 0, 0, 96, 64), box(0, 90, 0, 96, 4)), brightness=1.0, blur=0.0),
        indexed_image("b.jpg", width=50, height=100, split="val", brightness=0.0, blur=1.0),
    ]
    write_index(images, tmp_path / "index")
    found = read_statistics(tmp_path / "index")
    assert (found.boxes, found.boxes_read) == (2, 2)
    assert found.centres[CELLS // 2][CELLS // 2] == 1  # of the whole image
    assert found.centres[0][CELLS - 1] == 1  # above, at the right
    assert sum(map(sum, found.centres)) == 2
    assert found.box_sizes[BINS - 1] == 1 and found.box_sizes[1] == 1  # all of it; a share of 1/256, whose root is 1/16
    assert found.brightness["train"][BINS - 1] == found.brightness["val"][0] == 1
    assert found.blur["train"][0] == found.blur["val"][BINS - 1] == 1
    assert found.sizes == [(50, 100, 1), (96, 64, 1)]


def test_of_many_images_the_boxes_of_some_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_IMAGES", 3)
    images = [indexed_image(f"{number}.jpg", boxes=(box(0, 1, 1, 9, 9),)) for number in range(7)]
    write_index(images, tmp_path / "index")
    found = read_statistics(tmp_path / "index")
    assert (found.boxes, found.boxes_read) == (7, 3)


def test_without_boxes_there_is_nothing_to_count(tmp_path: Path) -> None:
    write_index([indexed_image("a.jpg", label=0)], tmp_path / "index")
    found = read_statistics(tmp_path / "index")
    assert found.boxes == found.boxes_read == sum(found.box_sizes) == 0
