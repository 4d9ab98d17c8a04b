"""Geometry: VOC corners, boxes rotated with an image, and labels that keep the numbers of the manifest."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.archive.source import SourceFile
from pipeline.dataset.boxes import Frame, check_box, in_pixels, rotate_upright
from pipeline.dataset.model import FRACTION, Box, DatasetImage, RawBox
from pipeline.formats.text import WrittenNames
from pipeline.formats.voc_xml import parse_annotation
from pipeline.formats.yolo_labels import read_labels
from pipeline.layouts.yolo import label_lines
from tests.builders.voc import annotation

sides = st.integers(10, 400)


def _raw(x1: int, y1: int, x2: int, y2: int) -> RawBox:
    return RawBox("thing", x1, y1, x2, y2, False, 1)


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((1, 1, 96, 64), (0, 0, 96_000, 64_000)),  # the whole image
        ((10, 20, 30, 40), (9_000, 19_000, 30_000, 40_000)),
        ((1.5, 2.25, 3.125, 4.0005), (500, 1_250, 3_125, 4_000)),  # half to even
        ((1.0015, 1, 3.0025, 4), (2, 0, 3_002, 4_000)),
    ],
)
def test_corners_are_one_based_inclusive_pixels(
    tmp_path: Path, corners: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(annotation("a.jpg", [("thing", *corners)]).replace(b"4.0005", b"4.0005"))
    parsed = parse_annotation(SourceFile("a.xml", str(path), path.stat().st_size, ""), WrittenNames())
    assert parsed is not None
    assert [tuple(box[1:5]) for box in parsed.boxes] == [expected]


@given(sides, sides, st.integers(1, 8), st.data())
def test_a_box_is_rotated_with_its_image(width: int, height: int, orientation: int, data: st.DataObject) -> None:
    """The white rectangle of a stored image is inside the rotated box after Pillow rotated the pixels."""
    x1, y1 = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    x2, y2 = data.draw(st.integers(x1 + 1, width - 1)), data.draw(st.integers(y1 + 1, height - 1))
    stored = Image.new("L", (width, height))
    stored.paste(255, (x1, y1, x2, y2))
    exif = Image.Exif()
    exif[274] = orientation
    content = io.BytesIO()
    stored.save(content, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(content))
    turned = rotate_upright(_raw(x1 * 1000, y1 * 1000, x2 * 1000, y2 * 1000), Frame(*upright.size, orientation))
    assert upright.getbbox() == tuple(edge // 1000 for edge in turned[1:5])


@given(sides, sides, *[st.integers(-500_000, 900_000)] * 4)
def test_a_kept_box_is_inside_the_image_and_has_an_area(
    width: int, height: int, x1: int, y1: int, x2: int, y2: int
) -> None:
    box, findings = check_box(_raw(x1, y1, x2, y2), Frame(width, height), "a.xml")
    if box is None:
        assert [finding.severity for finding in findings] == ["error"]
        return
    assert 0 <= box.x1 < box.x2 <= width * 1000
    assert 0 <= box.y1 < box.y2 <= height * 1000
    if (box.x1, box.y1, box.x2, box.y2) != (x1, y1, x2, y2):
        assert {"box-clipped", "box-at-edge"} & {finding.code for finding in findings}


@given(st.integers(10, 65_535), st.integers(10, 65_535), st.data())
def test_a_label_gives_back_the_integers_of_the_manifest(width: int, height: int, data: st.DataObject) -> None:
    x1, y1 = data.draw(st.integers(0, width * 1000 - 1)), data.draw(st.integers(0, height * 1000 - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width * 1000)), data.draw(st.integers(y1 + 1, height * 1000))
    box = Box(3, x1, y1, x2, y2, False)
    line = label_lines(DatasetImage("a.jpg", SourceFile("a.jpg", "", 0, ""), width, height, "JPEG", None, (box,), None))
    class_id, x, y, w, h = (float(text) for text in line.split())
    back = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
    assert class_id == 3 and all(0 <= value <= 1 for value in (x, y, w, h))
    assert [round(edge * 1000) for edge in back] == [x1, y1, x2, y2]


@given(st.integers(10, 65_535), st.integers(10, 65_535), st.data())
def test_a_yolo_label_round_trips_to_the_same_integers(width: int, height: int, data: st.DataObject) -> None:
    x1, y1 = data.draw(st.integers(0, width * 1000 - 1)), data.draw(st.integers(0, height * 1000 - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width * 1000)), data.draw(st.integers(y1 + 1, height * 1000))
    box = Box(0, x1, y1, x2, y2, False)
    image = DatasetImage("a.jpg", SourceFile("a.jpg", "", 0, ""), width, height, "JPEG", None, (box,), None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_text(label_lines(image))
        file = SourceFile("a.txt", str(path), path.stat().st_size, "")
        [labels], _ = read_labels([file], lambda _: {0: "thing"})
    assert [read[1:5] for read in in_pixels(labels.boxes, "fractions", width, height)] == [(x1, y1, x2, y2)]


@given(st.integers(-3 * FRACTION, 3 * FRACTION), st.integers(1, 65_535))
def test_fractions_become_thousandths_rounded_half_to_even(units: int, side: int) -> None:
    box = RawBox("thing", units, 0, units, 0, False, None)
    exact = Fraction(units, FRACTION) * side * 1000
    assert in_pixels([box], "fractions", side, 1)[0].x1 == round(exact)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["cat", "cat ", "\tcat", "dog "], ["2 class names have spaces at an end, here 'cat'"]),
        (["cat", " cat"], ["1 class name has spaces at an end, here 'cat'"]),
        (["cat ", " cat"], []),
        (["cat", "\n  cat\n"], []),
        (["", " "], []),
    ],
)
def test_names_written_with_and_without_spaces_are_one_finding(texts: list[str], expected: list[str]) -> None:
    written = WrittenNames()
    for number, text in enumerate(texts):
        assert written.clean(text, f"{number}.xml", 3) == text.strip()
    found = list(written.findings())
    assert [finding.detail.partition(":")[0] for finding in found] == expected
    assert all((finding.path, finding.line) == ("1.xml", 3) for finding in found)
