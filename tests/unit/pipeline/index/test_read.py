"""Pages of the image index against plain Python over random sets."""

import random
from pathlib import Path

import pytest

from pipeline.dataset.model import SPLITS
from pipeline.index.read import SORTS, Position, Selection, read_page
from pipeline.index.schema import IndexedImage
from pipeline.index.write import write_index
from tests.builders.indexed import box, indexed_image

VALUE = {
    "path": lambda image: image.path,
    "size": lambda image: image.width * image.height,
    "boxes": lambda image: image.box_count,
    "brightness": lambda image: image.brightness,
    "blur": lambda image: image.blur,
}


@pytest.mark.parametrize("seed", range(6))
def test_pages_are_what_plain_python_filters_and_sorts(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    images = _set(rng, count=rng.choice((0, 1, 40, 150)))
    write_index(images, tmp_path / "index")
    for _ in range(60):
        selection = Selection(
            class_id=rng.choice((None, None, 0, 1, 2, 9)),
            split=rng.choice((None, None, *SPLITS)),
            paths=rng.choice(
                (None, None, set(), {image.path for image in images if rng.random() < 0.3} | {"gone.jpg"})
            ),
            sort=rng.choice([*SORTS]),
            descending=rng.random() < 0.5,
        )
        assert _all_pages(tmp_path / "index", selection, limit=rng.choice((1, 7, 50))) == _expected(images, selection)


def _set(rng: random.Random, *, count: int) -> list[IndexedImage]:
    """Few values of each, so that most are equal; names of all planes, so that their order is that of code points."""
    folders = "aZ\u00e9\uffee\U0001f600"
    names = {f"{rng.choice(folders)}/{rng.randrange(10**6)}.jpg" for _ in range(count)}
    is_classified = rng.random() < 0.3
    return [
        indexed_image(
            path,
            split=rng.choice(SPLITS),
            label=rng.randrange(3) if is_classified else None,
            width=rng.choice((10, 20)),
            height=rng.choice((10, 20)),
            brightness=rng.choice((0.0, 0.1 + 0.2, 1.0)),
            blur=round(rng.random(), 4),
            phash=rng.randbytes(32) if rng.random() < 0.8 else None,
            boxes=() if is_classified else tuple(box(rng.randrange(3), 1, 2, 3, 4.5) for _ in range(rng.randrange(4))),
        )
        for path in sorted(names)
    ]


def _all_pages(index: Path, selection: Selection, *, limit: int) -> list[IndexedImage]:
    found: list[IndexedImage] = []
    after: Position | None = None
    while True:
        page = read_page(index, selection, after=after, limit=limit, boxes=100)
        assert len(page.images) == limit or page.end is None
        found += page.images
        after = page.end
        if after is None:
            return found


def _expected(images: list[IndexedImage], selection: Selection) -> list[IndexedImage]:
    kept = [
        image
        for image in images
        if (selection.class_id is None or selection.class_id in image.class_ids)
        and (selection.split is None or selection.split == image.split)
        and (selection.paths is None or image.path in selection.paths)
    ]
    by_value = sorted(kept, key=lambda image: (VALUE[selection.sort](image), image.path))
    return by_value[::-1] if selection.descending else by_value
