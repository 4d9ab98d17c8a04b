"""Tables of boxes in other forms: without a header, with a whole box in one cell, with the objects of the hub."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import H, Truth, W, boxes_read, close, images, truth
from tests.builders.voc import Files, zip_files

Row = tuple[str, str, float, float, float, float]  # image, class, left, top, right, bottom


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir(exist_ok=True)
    archive = zip_files(tmp_path / "data.zip", files)
    return read_dataset(extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0], [])


def _codes(dataset: Dataset) -> set[str]:
    return {finding.code for finding in dataset.findings}


def _random_truth(seed: int, count: int = 8) -> Truth:
    """Anywhere in the image, in pixels to a tenth."""
    rng = random.Random(seed)
    found: Truth = {}
    for number in range(count):
        x, y = rng.uniform(0, W - 24), rng.uniform(0, H - 20)
        box = (x, y, x + rng.uniform(8, W - x), y + rng.uniform(8, H - y))
        left, top, right, bottom = (round(edge, 1) for edge in box)
        found[f"images/p{number:02d}.jpg"] = [(("ant", "bee")[number % 2], left, top, right, bottom)]
    return found


def _table(boxes: Truth, row: Callable[[Row], str], header: str = "") -> bytes:
    rows = [row((image, *box)) for image, of_image in boxes.items() for box in of_image]
    return "\n".join([header, *rows] if header else rows).encode()


WITHOUT_HEADER: dict[str, Callable[[Row], str]] = {
    "keras-retinanet": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{r[1]}",
    "paths of another machine": lambda r: f"C:\\data\\{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{r[1]}",
    "class second": lambda r: f"{r[0]},{r[1]},{r[2]},{r[3]},{r[4]},{r[5]}",
    "with the size": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{r[1]},{W},{H}",
    "semicolons": lambda r: f"{r[0]};{r[2]};{r[3]};{r[4]};{r[5]};{r[1]}",
    "AutoML": lambda r: (
        f"{'TRAIN' if r[0] < 'images/p06' else 'TEST'},gs://b/{r[0]},{r[1]},"
        f"{r[2] / W},{r[3] / H},,,{r[4] / W},{r[5] / H},,"
    ),
}


@pytest.mark.parametrize("form", WITHOUT_HEADER)
@pytest.mark.parametrize("seed", range(3))
def test_a_table_without_a_header_is_read_by_its_values(tmp_path: Path, form: str, seed: int) -> None:
    boxes = _random_truth(seed)
    files = images(boxes) | {"train.csv": _table(boxes, WITHOUT_HEADER[form]), "classes.csv": b"ant,0\nbee,1\n"}
    dataset = _read(tmp_path, files)
    assert dataset.format == "csv" and not dataset.broken and close(boxes_read(dataset), boxes)
    assert _codes(dataset) == {"table-columns"} and "no header" in dataset.findings[0].detail
    if form == "AutoML":
        assert [item.split for item in dataset.items] == ["train"] * 6 + ["test"] * 2


def test_an_image_without_objects_has_a_row_of_empty_cells(tmp_path: Path) -> None:
    boxes = _random_truth(1)
    table = _table(boxes, WITHOUT_HEADER["keras-retinanet"]) + b"\nimages/none.jpg,,,,,\n"
    dataset = _read(tmp_path, images([*boxes, "images/none.jpg"]) | {"train.csv": table})
    assert close(boxes_read(dataset), boxes | {"images/none.jpg": []}) and not dataset.broken


UNCLEAR: dict[str, Callable[[Row], str]] = {
    "sides": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4] - r[2]:.1f},{r[5] - r[3]:.1f},{r[1]}",
    "a class of numbers": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{len(r[1])}",
    "two texts": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{r[1]},annotator",
    "two images": lambda r: f"{r[0]},{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},{r[1]}",
    "five numbers": lambda r: f"{r[0]},{r[2]},{r[3]},{r[4]},{r[5]},0.5,{r[1]}",
}


@pytest.mark.parametrize("form", UNCLEAR)
def test_a_table_without_a_header_whose_columns_are_unclear_is_an_error_that_names_it(
    tmp_path: Path, form: str
) -> None:
    boxes = _random_truth(5)
    with pytest.raises(Rejected) as rejected:
        _read(tmp_path, images(boxes) | {"train.csv": _table(boxes, UNCLEAR[form])})
    assert [(each.code, each.path) for each in rejected.value.findings] == [("annotations-unread", "train.csv")]


def test_a_table_of_classes_without_a_header_is_read(tmp_path: Path) -> None:
    rows = {f"images/p{number}.jpg": ("ant", "bee")[number % 2] for number in range(6)}
    table = "\n".join(f"p{number}.jpg,{label}" for number, label in enumerate(rows.values())).encode()
    dataset = _read(tmp_path, images(rows) | {"labels.csv": table})
    assert dataset.format == "table" and {item.image.name: item.label for item in dataset.items} == rows


def _sides(row: Row) -> list[float]:
    return [row[2], row[3], round(row[4] - row[2], 1), round(row[5] - row[3], 1)]


CELLS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "wheat": ("image_id,width,height,bbox,label", lambda r: f'{r[0][7:-4]},{W},{H},"{_sides(r)}",{r[1]}'),
    "corners": ("file,width,height,bbox,label", lambda r: f'{r[0]},{W},{H},"{list(r[2:])}",{r[1]}'),
    "without brackets": (
        "file;width;height;box;class",
        lambda r: f"{r[0]};{W};{H};{' '.join(map(str, _sides(r)))};{r[1]}",
    ),
    "tuples": ("file,width,height,bbox,label", lambda r: f'{r[0]},{W},{H},"{tuple(_sides(r))}",{r[1]}'),
    "lists of lists": (
        "file,width,height,bboxes,labels",
        lambda r: f'{r[0]},{W},{H},"[{_sides(r)}]","[\'{r[1]}\']"',
    ),
    "objects": (
        "file_name,objects",
        lambda r: f'{r[0]},"{_quoted({"bbox": [_sides(r)], "categories": [r[1]]})}"',
    ),
    "objects of Python": ("file_name,objects", lambda r: f'{r[0]},"{ {"bbox": [_sides(r)], "category": [r[1]]} }"'),
    "annotations": (
        "image,annotations",
        lambda r: f'{r[0]},"{_quoted([dict(zip(("x", "y", "width", "height"), _sides(r), strict=True), label=r[1])])}"',
    ),
}


def _quoted(value: object) -> str:
    return json.dumps(value).replace('"', '""')


@pytest.mark.parametrize("form", CELLS)
@pytest.mark.parametrize("seed", range(3))
def test_boxes_in_one_cell_are_read_by_what_fits_all_of_them(tmp_path: Path, form: str, seed: int) -> None:
    boxes = _random_truth(10 + seed, count=12)
    header, row = CELLS[form]
    dataset = _read(tmp_path, images(boxes) | {"train.csv": _table(boxes, row, header)})
    assert dataset.format == "csv" and not dataset.broken and close(boxes_read(dataset), boxes, within=0.11)
    assert _codes(dataset) == {"table-columns"}


def test_boxes_of_a_table_without_classes_are_of_one_class_with_a_warning(tmp_path: Path) -> None:
    boxes = _random_truth(1)
    table = _table(boxes, lambda r: f'{r[0][7:-4]},{W},{H},"{_sides(r)}"', "image_id,width,height,bbox")
    dataset = _read(tmp_path, images(boxes) | {"train.csv": table})
    assert {box.label for item in dataset.items for box in item.boxes} == {"object"}
    assert _codes(dataset) == {"table-columns", "class-names-missing"}


def test_boxes_in_one_cell_that_fit_two_shapes_are_an_error(tmp_path: Path) -> None:
    boxes = truth()
    table = _table(boxes, lambda r: f'{r[0]},"[5, 5, 20, 20]",{r[1]}', "file,bbox,label")
    dataset = _read(tmp_path, images(boxes) | {"train.csv": table})
    assert _codes(dataset) == {"box-columns-unclear"} and len(dataset.broken) == 4


@pytest.mark.parametrize(
    "described", [b"/m/01g317,Person\n/m/0cmf2,Jet\n", b"LabelName,DisplayName\n/m/01g317,Person\n"]
)
def test_ids_of_open_images_get_the_names_of_the_descriptions(tmp_path: Path, described: bytes) -> None:
    boxes = _random_truth(2)
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"
    table = _table(
        boxes,
        lambda r: f"{r[0][7:-4]},xclick,/m/01g317,1,{r[2] / W},{r[4] / W},{r[3] / H},{r[5] / H},0,0",
        header,
    )
    files = images(boxes) | {"train-annotations-bbox.csv": table}
    named = _read(tmp_path, files | {"class-descriptions-boxable.csv": described})
    assert {box.label for item in named.items for box in item.boxes} == {"Person"} and not named.broken
    assert "class-names-missing" in _codes(_read(tmp_path, files))


@pytest.mark.parametrize(
    ("header", "numbers", "is_error"),
    [
        ("image,a,b,c,d,class", (8, 9, 40, 50), True),
        ("image,class,box1,box2,box3,box4", (0.1, 0.2, 0.5, 0.75), True),
        ("image,class,px,py,w,h,score", (8, 9, 40, 50, 0.5), True),
        ("image,class,a,b,c", (8, 9, 40), False),
        ("image,class,width,height,file_size,fold,patientAge", (96, 64, 900, 3, 41), False),
        ("image,class,red,green,blue,grey", (0, 1, 0, 0), False),
        ("image,class,f0,f1,f2,f3", (0.5, -0.25, 1.5, -2.0), False),
    ],
)
def test_numbers_beside_the_classes_that_may_be_boxes_are_an_error_that_names_their_columns(
    tmp_path: Path, header: str, numbers: tuple[float, ...], is_error: bool
) -> None:
    columns = header.split(",")
    rest = [name for name in columns if name not in ("image", "class")]
    rows = [header]
    for at in range(8):
        cells = {"image": f"p{at}.jpg", "class": ("ant", "bee")[at % 2]} | dict(zip(rest, numbers, strict=True))
        rows.append(",".join(str(cells[name]) for name in columns))
    files = images(f"p{at}.jpg" for at in range(8)) | {"labels.csv": "\n".join(rows).encode()}
    dataset = _read(tmp_path, files)
    assert ("box-columns-unclear" in _codes(dataset)) == is_error and len(dataset.broken) == 8 * is_error
    if is_error:
        detail = next(each.detail for each in dataset.findings if each.code == "box-columns-unclear")
        assert all(repr(name) in detail for name in rest[:4]) and "xmin, ymin, xmax, ymax" in detail
