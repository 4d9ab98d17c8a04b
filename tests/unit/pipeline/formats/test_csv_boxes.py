"""CSV tables of boxes: columns, delimiters, units, paths and splits as they occur; errors at their line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset
from pipeline.formats import csv_boxes, read_dataset
from tests.builders.listed import PixelBox, Truth, boxes_read, close, csv_files, images, truth
from tests.builders.voc import SIZE, Files, zip_files

W, H = SIZE


def _source(tmp_path: Path, files: Files) -> ExtractedArchive:
    (tmp_path / "into").mkdir(exist_ok=True)
    return extract(zip_files(tmp_path / "data.zip", files), tmp_path / "into", threads=1, tick=lambda *_: None)[0]


def _read(tmp_path: Path, files: Files) -> Dataset:
    return read_dataset(_source(tmp_path, files), [])


def _codes(dataset: Dataset) -> dict[str, tuple[str, int | None]]:
    return {finding.code: (finding.path, finding.line) for finding in dataset.findings}


Row = Callable[[str, PixelBox], str]

LAYOUTS: list[tuple[str, str, Row]] = [
    (
        "converted from VOC",
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        lambda name, b: f"{name},{W},{H},{b[0]},{b[1]},{b[2]},{b[3]},{b[4]}",
    ),
    (
        "another order",
        "class,ymax,xmax,ymin,xmin,image",
        lambda name, b: f"{b[0]},{b[4]},{b[3]},{b[2]},{b[1]},{name}",
    ),
    ("x1 to y2", "image_path,x1,y1,x2,y2,class_name", lambda name, b: f"{name},{b[1]},{b[2]},{b[3]},{b[4]},{b[0]}"),
    (
        "sides",
        "image_name,label,x,y,w,h,image_width,image_height",
        lambda name, b: f"{name},{b[0]},{b[1]},{b[2]},{b[3] - b[1]},{b[4] - b[2]},{W},{H}",
    ),
    (
        "sides of the tool makesense.ai",
        "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
        lambda name, b: f"{b[0]},{b[1]},{b[2]},{b[3] - b[1]},{b[4] - b[2]},{name},{W},{H}",
    ),
    (
        "size of the image beside sides of the box",
        "image_id,width,height,category,x,y,w,h",
        lambda name, b: f"{name},{W},{H},{b[0]},{b[1]},{b[2]},{b[3] - b[1]},{b[4] - b[2]}",
    ),
    (
        "centre",
        "path,label,x_center,y_center,width,height",
        lambda name, b: f"{name},{b[0]},{(b[1] + b[3]) / 2},{(b[2] + b[4]) / 2},{b[3] - b[1]},{b[4] - b[2]}",
    ),
    (
        "fractions",
        "file,label,xmin,ymin,xmax,ymax",
        lambda name, b: f"{name},{b[0]},{b[1] / W},{b[2] / H},{b[3] / W},{b[4] / H}",
    ),
    (
        "fractions of a centre",
        "file,label,cx,cy,w,h",
        lambda name, b: (
            f"{name},{b[0]},{(b[1] + b[3]) / 2 / W},{(b[2] + b[4]) / 2 / H},{(b[3] - b[1]) / W},{(b[4] - b[2]) / H}"
        ),
    ),
    (
        "Open Images",
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf",
        lambda name, b: (
            f"{name.rpartition('/')[2][:-4]},xclick,{b[0]},1,{b[1] / W:.9f},{b[3] / W:.9f},{b[2] / H:.9f},"
            f"{b[4] / H:.9f},0,0,0"
        ),
    ),
    (
        "GTSRB",
        "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;Label",
        lambda name, b: f"{name};{W};{H};{b[1]};{b[2]};{b[3]};{b[4]};{b[0]}",
    ),
    (
        "decimal commas",
        "filename;class;xmin;ymin;xmax;ymax",
        lambda name, b: ";".join([name, b[0], *(str(edge).replace(".", ",") for edge in b[1:])]),
    ),
    (
        "tabs",
        "filename\tclass\txmin\tymin\txmax\tymax",
        lambda name, b: "\t".join([name, b[0], *map(str, b[1:])]),
    ),
]
CASES = pytest.mark.parametrize(("header", "row"), [case[1:] for case in LAYOUTS], ids=[case[0] for case in LAYOUTS])


def _table(boxes: Truth, header: str, row: Row, end: str = "\n") -> bytes:
    lines = [header, *(row(name, box) for name, of_image in boxes.items() for box in of_image)]
    return (end.join(lines) + end).encode()


@CASES
def test_boxes_are_read_from_every_usual_layout(tmp_path: Path, header: str, row: Row) -> None:
    boxes = truth()
    dataset = _read(tmp_path, images(boxes) | {"labels/boxes.csv": _table(boxes, header, row)})
    assert dataset.format == "csv"
    assert close(boxes_read(dataset), boxes)
    assert _codes(dataset)["table-columns"] == ("labels/boxes.csv", 1)
    assert not dataset.broken and dataset.lost == 0


@pytest.mark.parametrize("wrap", ["", "a/b c/"])
@pytest.mark.parametrize(
    ("folder", "stated"),
    [
        ("images/", "{base}"),
        ("", "{base}"),
        ("images/", "images/{base}"),
        ("images/", "/home/me/set/images/{base}"),
        ("images/", "C:\\set\\images\\{base}"),
        ("images/", "./images/{base}"),
        ("images/", "{stem}"),
        ("a b/", "a%20b/{base}"),
    ],
)
def test_images_are_found_by_names_and_paths(tmp_path: Path, wrap: str, folder: str, stated: str) -> None:
    boxes = truth(folder=f"{wrap}{folder}")
    rows = ["filename,class,xmin,ymin,xmax,ymax"]
    for name, of_image in boxes.items():
        base = name.rpartition("/")[2]
        path = stated.format(base=base, stem=base[:-4])
        rows += [",".join([path, label, *map(str, edges)]) for label, *edges in of_image]
    dataset = _read(tmp_path, images(boxes) | {f"{wrap}boxes.csv": "\n".join(rows).encode()})
    assert close(boxes_read(dataset), boxes)


def test_equal_names_in_two_folders_are_distinguished_by_their_paths(tmp_path: Path) -> None:
    boxes: Truth = {
        "train/a/1.jpg": [("ball", 1, 2, 30, 40)],
        "train/b/1.jpg": [("cube", 5, 6, 50, 60)],
        "train/b/2.jpg": [],
    }
    rows = b"path,label,xmin,ymin,xmax,ymax\n/x/b/1.jpg,cube,5,6,50,60\n/x/a/1.jpg,ball,1,2,30,40\nb/2.jpg,,,,,\n"
    assert close(boxes_read(_read(tmp_path, images(boxes) | {"t.csv": rows})), boxes)
    unclear = b"path,label,xmin,ymin,xmax,ymax\n1.jpg,cube,5,6,50,60\n2.jpg,ball,1,2,30,40\n"
    dataset = _read(tmp_path, images(boxes) | {"t.csv": unclear})
    assert _codes(dataset)["image-ambiguous"] == ("t.csv", 2)
    assert dataset.broken == {"train/a/1.jpg", "train/b/1.jpg"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    boxes: Truth = {f"{number}.jpg": [("Größe, groß", 5, 6, 50, 60)] for number in range(3)}
    text = _table(
        boxes, "filename,class,xmin,ymin,xmax,ymax", lambda name, b: f'{name},"{b[0]}",{b[1]},{b[2]},{b[3]},{b[4]}', end
    )
    dataset = _read(tmp_path, images(boxes) | {"t.csv": text.decode().encode(encoding)})
    assert close(boxes_read(dataset), boxes)


def test_another_encoding_is_refused_and_nothing_is_replaced(tmp_path: Path) -> None:
    text = "filename,class,xmin,ymin,xmax,ymax\n0.jpg,汽车 汽车,1,2,30,40\n".encode("gbk")
    dataset = _read(tmp_path, images(["0.jpg", "1.jpg"]) | {"t.csv": text})
    [finding] = [each for each in dataset.findings if each.code == "text-encoding"]
    assert "GBK" in finding.detail and "UTF-8" in finding.detail and finding.line == 2
    assert dataset.broken == {"0.jpg", "1.jpg"}
    assert not any("\ufffd" in box.label for item in dataset.items for box in item.boxes)


@pytest.mark.parametrize(
    ("row", "code", "broken"),
    [
        ("p00.jpg,ball,1,2,x,40", "box-not-a-number", True),
        ("p00.jpg,ball,1,2,1e999,40", "box-not-a-number", True),
        ("p00.jpg,ball,1,2,1e99999999999999999999,40", "box-not-a-number", True),
        ("p00.jpg,ball,1,2,inf,40", "box-not-a-number", True),
        ("p00.jpg,ball,1,2,1_0,40", "box-not-a-number", True),
        ("p00.jpg,ball,1,2,٣٠,40", "box-not-a-number", True),
        ("p00.jpg,ball,,,,", "box-missing", True),
        ("p00.jpg,,1,2,30,40", "class-name-empty", True),
        (f"p00.jpg,{'b' * 201},1,2,30,40", "class-name-too-long", True),
        ("p00.jpg,ball,1,2,30", "table-row-invalid", True),
        ("p00.jpg,ball,1,2,30,40,50", "table-row-invalid", True),
        ("p00.jpg,ball,0.1,0.2,0.3,0.4", "box-units-mixed", True),
        (",ball,1,2,30,40", "table-row-invalid", False),
        ("nowhere.jpg,ball,1,2,30,40", "image-missing", False),
        ('p00.jpg,"ball,1,2,30,40', "table-invalid", True),
    ],
)
def test_an_error_has_its_line_and_its_image_is_not_used(tmp_path: Path, row: str, code: str, *, broken: bool) -> None:
    boxes = truth()
    table = _table(boxes, "filename,class,xmin,ymin,xmax,ymax", lambda name, b: ",".join([name[7:], *map(str, b)]))
    dataset = _read(tmp_path, images(boxes) | {"t.csv": table + f"{row}\n".encode()})
    path, line = _codes(dataset)[code]
    assert (path, line) == ("t.csv", 10)
    assert ("images/p00.jpg" in dataset.broken) is broken
    assert dataset.lost == (not broken)


def test_rows_without_an_object_list_an_image(tmp_path: Path) -> None:
    boxes = truth(4)
    boxes["images/p03.jpg"] = []
    boxes["images/p02.jpg"] = []
    files = csv_files(boxes)
    files["annotations.csv"] += f"p03.jpg,{W},{H},,,,,\np02.jpg,{W},{H},No finding,nan,NaN,None,\n".encode()
    dataset = _read(tmp_path, files)
    assert close(boxes_read(dataset), boxes)
    assert {item.annotation for item in dataset.items} == {"annotations.csv"}


@pytest.mark.parametrize(
    ("extra", "values"),
    [(",split", ("train", "TRAIN", "validation", "test")), (",subset", ("training", "train", "val", "testing"))],
)
def test_a_split_is_kept_by_a_column(tmp_path: Path, extra: str, values: tuple[str, ...]) -> None:
    boxes = truth()
    lines = [f"filename,class,xmin,ymin,xmax,ymax{extra}"]
    lines += [f"p0{number}.jpg,ball,1,2,30,40,{value}" for number, value in enumerate(values)]
    dataset = _read(tmp_path, images(boxes) | {"t.csv": "\n".join(lines).encode()})
    assert [item.split for item in dataset.items] == ["train", "train", "val", "test"]


def test_a_split_is_kept_by_the_names_of_tables(tmp_path: Path) -> None:
    boxes = truth()
    train, test = dict(list(boxes.items())[:3]), dict(list(boxes.items())[3:])
    files = csv_files(train, name="train_labels.csv") | csv_files(test, name="test_labels.csv") | images(boxes)
    dataset = _read(tmp_path, files)
    assert [item.split for item in dataset.items] == ["train", "train", "train", "test"]


def test_class_names_of_open_images(tmp_path: Path) -> None:
    rows = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n"
    rows += "p00,/m/01g317,0.1,0.5,0.2,0.6,0\np01,/m/0k4j,0.1,0.5,0.2,0.6,1\n"
    files = images(truth()) | {"boxes.csv": rows.encode(), "class-descriptions.csv": b"/m/01g317,Person\n/m/0k4j,Car\n"}
    dataset = _read(tmp_path, files)
    assert [box.label for item in dataset.items for box in item.boxes] == ["Person"]
    assert _codes(dataset)["crowds-left-out"] == ("boxes.csv", 3)


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("filename,class,score", "no columns with the corners or the sides of boxes in t.csv."),
        ("class,xmin,ymin,xmax,ymax", "no column with the names of images in t.csv."),
        ("filename,xmin,ymin,xmax,ymax", "no column with classes in t.csv."),
        ("filename,class,xmin,ymin,xmax,ymax,angle", "a column of angles, while boxes are upright in t.csv."),
        ("filename,class,xmin,xmin,ymin,xmax,ymax", "a column occurs twice in t.csv."),
        ("filename,class,xmin,ymin,xmax,ymax", "t.csv names no image of the archive."),
    ],
)
def test_what_a_table_is_missing_is_stated(tmp_path: Path, header: str, missing: str) -> None:
    row = ",".join(["nothing.jpg"] * len(header.split(",")))
    source = _source(tmp_path, images(["0.jpg"]) | {"t.csv": f"{header}\n{row}\n".encode()})
    assert csv_boxes.matches(source) == f"1 CSV file: {missing}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"filename,class,xmin,ymin,xmax,ymax",
        b"filename,class,xmin,ymin,xmax,ymax\n0.jpg," + b"x" * 1_000_000 + b",1,2,3,4\n",
        b'filename,class,xmin,ymin,xmax,ymax\n0.jpg,"' + b"\n" * 500_000,
        b"filename,class,xmin,ymin,xmax,ymax" + b",x" * 100_000,
        b"filename,class,xmin,ymin,xmax,ymax\n0.jpg,a,1,2,3" + b",4" * 100_000,
        b"filename,class,xmin,ymin,xmax,ymax\n0.jpg,a," + b"9" * 100_000 + b",2,3,4\n",
        b"\xff\xfe\xff",
    ],
)
def test_hostile_tables_are_refused_and_end_soon(tmp_path: Path, content: bytes) -> None:
    source = _source(tmp_path, images(["0.jpg", "1.jpg"]) | {"t.csv": content})
    if csv_boxes.matches(source) is None:
        dataset = csv_boxes.read(source)
        assert not any(item.boxes for item in dataset.items)
        assert any(finding.severity == "error" for finding in dataset.findings)
