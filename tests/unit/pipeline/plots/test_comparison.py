"""Sheets of images before and after: no text leaves its place, whatever its length."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from pipeline.plots.comparison import draw_comparison
from pipeline.process.render_task import ComparedBox, ComparedPair, ComparedSide, ComparisonTask

PROJECT = "raccoons-of-the-northern-line-of-cameras-winter-2026-27-9f3k2m1x"[:63]
MARGIN, FRAME, BETWEEN, GAP = 28, 340, 6, 30  # px
PAIR = 2 * FRAME + BETWEEN


def drawn(
    pairs: Sequence[ComparedPair], *, predictions: bool = False, title: str = "2 images that differ"
) -> np.ndarray:
    task = ComparisonTask(
        before=f"{PROJECT}/d11", after=f"{PROJECT}/d12", title=title, predictions=predictions, pairs=tuple(pairs)
    )
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "#88aacc").save(file, "JPEG")
    files = io.BytesIO(file.getvalue() * len(pairs))
    with Image.open(io.BytesIO(draw_comparison(task, files.read))) as sheet:
        return np.asarray(sheet.convert("L"))


def side(size: int, **fields: object) -> ComparedSide:
    return ComparedSide.model_validate({"bytes": size, "width": 300, "height": 200, "split": "train", **fields})


def pair(note: str, **fields: object) -> ComparedPair:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "#88aacc").save(file, "JPEG")
    return ComparedPair(
        path=f"{'cameras/of/the/northern/line/' * 4}IMG_0042.jpg",
        note=note,
        before=side(len(file.getvalue()), **fields),
        after=side(0, **fields),
    )


NOTE = "other split, was images/2026/IMG_20260101_120000, other bytes, 12 boxes added, 3 boxes removed, 4 boxes moved"
BOX = ComparedBox(
    label="駐車場に停まっている白い大型トラックの荷台の上の箱" * 2, change="added", x1=9, y1=9, x2=90, y2=90
)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("predictions", [False, True])
def test_no_text_leaves_its_place(count: int, predictions: bool) -> None:
    of_side = {"caption": "12,345 found, 12,345 missed, 12,345 false"} if predictions else {"label": "红" * 40}
    sheet = drawn([pair(NOTE, boxes=(BOX,), **of_side)] * count, predictions=predictions, title="images " * 60)
    wide = sheet.shape[1]
    columns = 1 if count == 1 else 2
    empty = [range(MARGIN - 4), range(wide - MARGIN + 4, wide)]
    assert all((sheet[:, strip] == 255).all() for strip in empty), "the margins are empty"
    for column in range(columns):
        left = MARGIN + column * (PAIR + GAP) + FRAME
        below = sheet[-MARGIN - 28 : -MARGIN - 2, left : left + BETWEEN]
        assert (below == 255).all(), "the caption before ends where the one after begins"


def test_the_path_and_the_number_of_the_dataset_stay_readable() -> None:
    """However long a note and a project's name are: another path, another number gives another sheet."""
    one = pair(NOTE)
    other = one.model_copy(update={"path": one.path.replace("IMG_0042", "IMG_0043")})
    assert not np.array_equal(drawn([one]), drawn([other]))


def test_names_of_neighbours_do_not_cover_each_other() -> None:
    """Two boxes whose names would lie on each other: both are read, as in a sheet with each alone."""
    boxes = tuple(ComparedBox(label="hazelnut", change="added", x1=x, y1=60, x2=x + 30, y2=99) for x in (60, 70))
    without = boxes[0].model_copy(update={"change": "same"})
    chosen = ((without,), boxes[:1], boxes[1:], boxes)
    nothing, first, second, both = (int((drawn([pair("", boxes=each)]) == 255).sum()) for each in chosen)
    assert both - nothing >= 0.95 * (first + second - 2 * nothing) > 0, "the letters are white"
