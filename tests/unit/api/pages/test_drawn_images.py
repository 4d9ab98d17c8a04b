"""What a finding is about, by its detail."""

import pytest

from api.pages.drawn_images import DrawnBox, box_of
from core.domain.findings import Finding
from pipeline.dataset.boxes import Frame, check_box
from pipeline.dataset.model import RawBox


def raw(x1: float, y1: float, x2: float, y2: float) -> RawBox:
    return RawBox("cat", *(round(1000 * edge) for edge in (x1, y1, x2, y2)), False, 7)


def found(box: RawBox, frame: Frame) -> Finding:
    (finding,) = check_box(box, frame, "a.xml")[1]
    return finding


@pytest.mark.parametrize("corner", [0, 1000])
@pytest.mark.parametrize("edges", [(50, 5, 120, 60), (10, 5, 11, 6.5), (-40, 5, 60, 60)])
def test_the_box_of_a_finding_is_the_one_that_was_checked(edges: tuple[float, ...], corner: int) -> None:
    finding = found(raw(*edges), Frame(100, 80, corner=corner))
    left, top, right, bottom = edges
    assert box_of(finding.code, finding.detail, 100, 80) == DrawnBox(left, top, right - left, bottom - top, 0, "")


def test_a_box_of_the_whole_image_is_its_edge_and_another_finding_has_none() -> None:
    finding = found(raw(0, 0, 100, 80), Frame(100, 80))
    assert box_of(finding.code, finding.detail, 100, 80) == DrawnBox(0, 0, 100, 80, 0, "")
    assert box_of("image-duplicate", "The same bytes as xmin.jpg.", 10, 10) is None
