"""The place of an image in a selection against plain Python; near-duplicates of one image."""

import functools
import operator
import random
from pathlib import Path

import pytest

from pipeline.dataset.model import SPLITS
from pipeline.index.near import NEAR_BITS, find_near
from pipeline.index.read import (
    SORTS,
    Selection,
    find_number,
    read_counted_page,
    read_numbers,
    read_surroundings,
)
from pipeline.index.write import write_index
from tests.builders.indexed import box, indexed_image


@pytest.mark.parametrize("seed", range(3))
def test_an_image_is_between_those_that_pages_list_before_and_after_it(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    images = [
        indexed_image(
            f"{number:03}.jpg",
            split=rng.choice(SPLITS),
            brightness=rng.choice((0.0, 0.5)),
            boxes=tuple(box(rng.randrange(2), 1, 2, 3, 4) for _ in range(rng.randrange(3))),
        )
        for number in range(40)
    ]
    file = tmp_path / "index"
    write_index(images, file)
    for _ in range(40):
        selection = Selection(
            class_id=rng.choice((None, 0)),
            split=rng.choice((None, "train")),
            paths=rng.choice((None, {"gone.jpg", *(image.path for image in images if rng.random() < 0.5)})),
            sort=rng.choice([*SORTS]),
            descending=rng.random() < 0.5,
        )
        page, count = read_counted_page(file, selection, after=None, limit=3, boxes=0)
        everything, _ = read_counted_page(file, selection, after=None, limit=100, boxes=0)
        paths = [image.path for image in everything.images]
        assert count == len(paths) and [image.path for image in page.images] == paths[:3]
        assert read_numbers(file, selection).keys() == set(paths)
        for rank, path in enumerate(paths):
            number = find_number(file, path)
            assert number is not None
            around = (paths[rank - 1] if rank else None, [*paths, None][rank + 1])
            assert read_surroundings(file, selection, number) == (rank, len(paths), *around)
        outside = next((image.path for image in images if image.path not in paths), None)
        if outside is not None:
            number = find_number(file, outside)
            assert number is not None and read_surroundings(file, selection, number).rank is None


def test_an_image_is_found_by_path_or_else_by_sha256(tmp_path: Path) -> None:
    images = [indexed_image(name, b"same") for name in ("a.jpg", "b.jpg")]
    images.append(indexed_image("c" * 64))  # a path that looks like a sha256
    write_index(images, tmp_path / "index")
    assert find_number(tmp_path / "index", "b.jpg") == 1
    assert find_number(tmp_path / "index", images[1].sha256) == 0  # the first of them by path
    assert find_number(tmp_path / "index", "c" * 64) == 2
    assert find_number(tmp_path / "index", "d" * 64) is find_number(tmp_path / "index", "") is None


def test_near_duplicates_differ_in_few_bits_nearest_first(tmp_path: Path) -> None:
    def flipped(bits: int) -> bytes:
        return ((1 << bits) - 1).to_bytes(32, "big")

    hashes = {"a": flipped(0), "b": flipped(33), "c": flipped(32), "d": flipped(1), "e": None}
    write_index([indexed_image(f"{name}.jpg", phash=phash) for name, phash in hashes.items()], tmp_path / "index")
    assert find_near(tmp_path / "index", 0, most=9) == [(3, 1), (2, 32)]
    assert find_near(tmp_path / "index", 0, most=1) == [(3, 1)]
    assert find_near(tmp_path / "index", 4, most=9) == []


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_are_those_that_a_comparison_of_all_hashes_finds(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    seeds = [rng.getrandbits(256) for _ in range(5)]
    hashes: list[int | None] = []
    for _ in range(200):
        flips = (1 << rng.randrange(256) for _ in range(rng.randrange(45)))
        hashes.append(None if rng.random() < 0.1 else functools.reduce(operator.xor, flips, rng.choice(seeds)))
    images = [
        indexed_image(f"{number:03}.jpg", phash=None if each is None else each.to_bytes(32, "big"))
        for number, each in enumerate(hashes)
    ]
    write_index(images, tmp_path / "index")
    for number, mine in enumerate(hashes):
        distances = [
            (number_of, (each ^ mine).bit_count())
            for number_of, each in enumerate(hashes)
            if each is not None and mine is not None and number_of != number
        ]
        near = sorted((each for each in distances if each[1] <= NEAR_BITS), key=operator.itemgetter(1, 0))
        assert find_near(tmp_path / "index", number, most=12) == near[:12]
    assert find_near(tmp_path / "index", len(hashes), most=12) == [], "it has no such image"
