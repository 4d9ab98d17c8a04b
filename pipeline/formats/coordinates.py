"""Coordinates whose unit is only known from all boxes of a dataset: kept exactly, then read as pixels or fractions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import FRACTION, RawBox
from pipeline.formats.listed import ListedImage
from pipeline.formats.text import MAX_COORDINATE

UNIT = FRACTION // 2  # of `exact`: twelve decimals
_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_PER_THOUSANDTH = UNIT // 1000
_SLACK = UNIT // 1000  # a fraction may exceed 1 by this: the error of three decimals

Unit = Literal["pixels", "fractions"]


def exact(text: str) -> int | None:
    """In 1/UNIT, rounded half to even. None for anything but a number of at most MAX_COORDINATE."""
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if abs(number) > MAX_COORDINATE:
        return None
    return int(number.scaleb(12).to_integral_value(ROUND_HALF_EVEN))


def settle_units(listed: Sequence[ListedImage]) -> tuple[Unit, list[Finding]]:
    """Turns the boxes of all entries, in 1/UNIT, into fractions where all lie within 0 .. 1, else into pixels.

    Where some lie within and some beyond, the images of those within are not usable: their unit is another one.
    """
    boxes = sum(len(entry.boxes) for entry in listed)
    small = sum(_is_small(box) for entry in listed for box in entry.boxes)
    fractions = bool(boxes) and small == boxes
    findings: list[Finding] = []
    if small and not fractions:
        mixed = [entry for entry in listed if any(map(_is_small, entry.boxes))]
        line = next(box.line for box in mixed[0].boxes if _is_small(box))
        have = counted(small, "box lies", "boxes lie")
        detail = f"{have} within 0 .. 1 and {boxes - small} beyond: coordinates in fractions and in pixels are mixed."
        findings.append(Finding.of("box-units-mixed", mixed[0].file.name, detail, line=line))
        for entry in mixed:
            entry.usable = False
    for entry in listed:
        entry.coordinates = "fractions" if fractions else "edges"
        entry.boxes = list(_settled(entry.boxes, fractions=fractions))
    return "fractions" if fractions else "pixels", findings


def _is_small(box: RawBox) -> bool:
    edges = (box.x1, box.y1, box.x2, box.y2)
    return max(edges) <= UNIT + _SLACK and min(edges) >= -_SLACK


def _settled(boxes: Iterable[RawBox], *, fractions: bool) -> Iterator[RawBox]:
    for box in boxes:
        edges = [2 * edge if fractions else _thousandths(edge) for edge in (box.x1, box.y1, box.x2, box.y2)]
        yield box._replace(x1=edges[0], y1=edges[1], x2=edges[2], y2=edges[3])


def _thousandths(number: int) -> int:
    """Rounded half to even."""
    whole, rest = divmod(number, _PER_THOUSANDTH)
    return whole + (2 * rest > _PER_THOUSANDTH or (2 * rest == _PER_THOUSANDTH and whole % 2))
