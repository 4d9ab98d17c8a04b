"""The geometry of boxes: rotated upright, checked and clipped. All coordinates are integers in 1/1000 px."""

from collections.abc import Iterable
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.dataset.model import FRACTION, Coordinates, RawBox

EDGE_TOLERANCE = 1000  # one pixel: the usual error of 0-based tools; clipped with a note only
MIN_REMAINING = 0.5  # of a box's area; a box that loses more was drawn on another image
ROUNDING = 10  # 1/100 px: the error of six decimals in an image of 8,000 px; clipped without a finding
ELONGATED = 40  # ratio of the sides: a cable, or a mistake
WHOLE = 0.995  # of the image's area: such a box carries little information
MIN_BOX_SIDE = 2000  # two pixels: anything smaller is more likely an accidental click than an object


class Frame(NamedTuple):
    """Size of the upright image in pixels. `orientation`: the EXIF value if the boxes refer to stored pixels, else 1.

    `corner`: offset of an annotation's xmin from the left edge; 1000 for 1-based inclusive pixels, else 0.
    """

    width: int
    height: int
    orientation: int = 1
    corner: int = 1000


def in_pixels(boxes: Iterable[RawBox], coordinates: Coordinates, width: int, height: int) -> list[RawBox]:
    """Fractions of the upright image in 1/1000 px, rounded half to even; other coordinates unchanged."""
    if coordinates != "fractions":
        return list(boxes)
    return [
        box._replace(
            x1=_scaled(box.x1, width), y1=_scaled(box.y1, height), x2=_scaled(box.x2, width), y2=_scaled(box.y2, height)
        )
        for box in boxes
    ]


def _scaled(units: int, side: int) -> int:
    whole, rest = divmod(units * side * 1000, FRACTION)
    return whole + (2 * rest > FRACTION or (2 * rest == FRACTION and whole % 2))


def check_boxes(boxes: Iterable[RawBox], frame: Frame, path: str) -> tuple[list[RawBox], list[Finding]]:
    """(usable boxes: upright, inside the image, without duplicates; the findings about all boxes)."""
    kept: dict[tuple[str, int, int, int, int], RawBox] = {}
    findings: list[Finding] = []
    for box in boxes:
        checked, box_findings = check_box(box, frame, path)
        findings += box_findings
        if checked is None:
            continue
        if checked[:5] in kept:
            findings.append(_finding("box-duplicate", path, box, "The same box is listed twice."))
            continue
        kept[checked[:5]] = checked
    return list(kept.values()), findings


def check_box(box: RawBox, frame: Frame, path: str) -> tuple[RawBox | None, list[Finding]]:
    """The box clipped to the image, or None with an error."""
    # In 1-based inclusive pixels xmax == xmin would be one pixel: no object is that narrow, it is an accidental click.
    wide, high = box.x2 - box.x1 - frame.corner, box.y2 - box.y1 - frame.corner
    if wide < 0 or high < 0:
        detail = f"The minimum is above the maximum: {_corners(box, frame)}."
        return None, [_finding("box-inverted", path, box, detail)]
    if wide == 0 or high == 0:
        return None, [_finding("box-zero-area", path, box, f"The box has no area: {_corners(box, frame)}.")]
    upright = rotate_upright(box, frame) if frame.orientation != 1 else box
    clipped = _clip(upright, frame.width * 1000, frame.height * 1000)
    right, bottom = frame.width * 1000, frame.height * 1000
    if clipped.x1 >= clipped.x2 or clipped.y1 >= clipped.y2:
        detail = f"Completely outside the image of {frame.width} x {frame.height}: {_corners(box, frame)}."
        return None, [_finding("box-outside", path, box, detail)]
    overshoot = max(-upright.x1, -upright.y1, upright.x2 - right, upright.y2 - bottom, 0)
    if overshoot and _area(clipped) < MIN_REMAINING * _area(upright):
        detail = f"Mostly outside the image of {frame.width} x {frame.height}: {_corners(box, frame)}."
        return None, [_finding("box-outside", path, box, detail)]
    return clipped, _notes_on(clipped, box, overshoot, frame, path)


def part_inside(box: RawBox, frame: Frame) -> RawBox | None:
    """The part of a box inside the upright image; None where a side of it is shorter than MIN_BOX_SIDE."""
    upright = rotate_upright(box, frame) if frame.orientation != 1 else box
    clipped = _clip(upright, frame.width * 1000, frame.height * 1000)
    return clipped if min(clipped.x2 - clipped.x1, clipped.y2 - clipped.y1) >= MIN_BOX_SIDE else None


def _clip(box: RawBox, right: int, bottom: int) -> RawBox:
    """The same object where the box is inside: most are, and there may be a million."""
    if box.x1 >= 0 and box.y1 >= 0 and box.x2 <= right and box.y2 <= bottom:
        return box
    return box._replace(x1=max(0, box.x1), y1=max(0, box.y1), x2=min(right, box.x2), y2=min(bottom, box.y2))


def _notes_on(box: RawBox, drawn: RawBox, overshoot: int, frame: Frame, path: str) -> list[Finding]:
    """Warnings and notes about `box`, the upright and clipped form of `drawn`."""
    findings: list[Finding] = []
    if overshoot > EDGE_TOLERANCE:
        beyond = f"Beyond the image of {frame.width} x {frame.height} by {_px(overshoot)} px"
        findings.append(_finding("box-clipped", path, box, f"{beyond}, clipped: {_corners(drawn, frame)}."))
    elif overshoot > ROUNDING:
        why = " (were the corners counted from 0?)" if frame.corner else ""
        detail = f"Beyond the edge by {_px(overshoot)} px, clipped{why}: {_corners(drawn, frame)}."
        findings.append(_finding("box-at-edge", path, box, detail))
    short, long = sorted((box.x2 - box.x1, box.y2 - box.y1))
    if short < MIN_BOX_SIDE:
        findings.append(_finding("box-tiny", path, box, f"A side is shorter than 2 px: {_corners(drawn, frame)}."))
    elif long > ELONGATED * short:
        detail = f"One side is more than {ELONGATED} times the other: {_corners(drawn, frame)}."
        findings.append(_finding("box-elongated", path, box, detail))
    if _area(box) > WHOLE * frame.width * frame.height * 1_000_000:
        detail = f"The box covers the whole image of {frame.width} x {frame.height}."
        findings.append(_finding("box-whole-image", path, box, detail))
    return findings


def _corners(box: RawBox, frame: Frame) -> str:
    if frame.corner:
        return f"xmin {_px(box.x1 + 1000)}, ymin {_px(box.y1 + 1000)}, xmax {_px(box.x2)}, ymax {_px(box.y2)}"
    return f"left {_px(box.x1)}, top {_px(box.y1)}, right {_px(box.x2)}, bottom {_px(box.y2)} px"


def rotate_upright(box: RawBox, frame: Frame) -> RawBox:
    """Maps a box from stored pixels to the upright image, by the EXIF orientation (CIPA DC-008, table 6)."""
    right, bottom = frame.width * 1000, frame.height * 1000
    x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
    match frame.orientation:
        case 2:
            x1, x2 = right - x2, right - x1
        case 3:
            x1, y1, x2, y2 = right - x2, bottom - y2, right - x1, bottom - y1
        case 4:
            y1, y2 = bottom - y2, bottom - y1
        case 5:
            x1, y1, x2, y2 = y1, x1, y2, x2
        case 6:
            x1, y1, x2, y2 = right - y2, x1, right - y1, x2
        case 7:
            x1, y1, x2, y2 = right - y2, bottom - x2, right - y1, bottom - x1
        case 8:
            x1, y1, x2, y2 = y1, bottom - x2, y2, bottom - x1
    return box._replace(x1=x1, y1=y1, x2=x2, y2=y2)


def _area(box: RawBox) -> int:
    return (box.x2 - box.x1) * (box.y2 - box.y1)


def _px(milli: int) -> str:
    return f"{milli / 1000:g}"


def _finding(code: str, path: str, box: RawBox, detail: str) -> Finding:
    return Finding.of(code, path, f"{box.label[:100]!r}: {detail}", line=box.line)
