"""Images of a dataset as pages draw them: a thumbnail with its boxes over it, and what a finding is about."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from core.db.tables import FindingRow, JobRow
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage

BOXES_DRAWN = 100

# As `pipeline.dataset.boxes` writes them: VOC's corners are counted from 1 and inclusive.
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_CORNERS = re.compile(rf"xmin {_NUMBER}, ymin {_NUMBER}, xmax {_NUMBER}, ymax {_NUMBER}")
_EDGES = re.compile(rf"left {_NUMBER}, top {_NUMBER}, right {_NUMBER}, bottom {_NUMBER} px")
_OTHER = re.compile(r"(?:The same (?:image|bytes) as|Looks like) (.+?)(?:, but with |: almost |\.$)")
_WHOLE = "box-whole-image"


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """In pixels of the upright image."""

    x: float
    y: float
    width: float
    height: float
    class_id: int
    name: str


@dataclass(frozen=True, slots=True)
class DrawnImage:
    """`marked`: what a finding is about, also beyond the image. `is_small`: hardly visible without a ring."""

    sha256: str
    path: str
    width: int
    height: int
    split: str
    label: str | None
    label_id: int | None
    box_count: int
    boxes: Sequence[DrawnBox]
    marked: DrawnBox | None = None
    is_small: bool = False


def drawn_image(job: JobRow, image: IndexedImage) -> DrawnImage:
    classes = job.classes or []
    return DrawnImage(
        sha256=image.sha256,
        path=image.path,
        width=image.width,
        height=image.height,
        split=image.split,
        label=None if image.label is None else classes[image.label],
        label_id=image.label,
        box_count=image.box_count,
        boxes=[_drawn(box, classes) for box in image.boxes],
    )


def _drawn(box: Box, classes: Sequence[str]) -> DrawnBox:
    x, y, right, bottom = (value / 1000 for value in (box.x1, box.y1, box.x2, box.y2))
    return DrawnBox(x, y, right - x, bottom - y, box.class_id, classes[box.class_id])


def marked(drawn: DrawnImage, finding: FindingRow) -> DrawnImage:
    """With the box that the finding is about, where its detail names one."""
    box = box_of(finding.code, finding.detail, drawn.width, drawn.height)
    if box is None:
        return drawn
    is_small = min(box.width / drawn.width, box.height / drawn.height) < 0.04
    return replace(drawn, marked=box, is_small=is_small)


def box_of(code: str, detail: str, width: int, height: int) -> DrawnBox | None:
    """The box that a finding of an image of `width` x `height` pixels names, wherever it is."""
    if code == _WHOLE:
        return DrawnBox(0, 0, width, height, 0, "")
    if found := _CORNERS.search(detail):
        x1, y1, x2, y2 = map(float, found.groups())
        x1, y1 = x1 - 1, y1 - 1
    elif found := _EDGES.search(detail):
        x1, y1, x2, y2 = map(float, found.groups())
    else:
        return None
    return DrawnBox(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1), 0, "")


def other_image(finding: FindingRow) -> str | None:
    """The path in the dataset of the image that this one is compared with: duplicates, near-duplicates."""
    found = _OTHER.search(finding.detail)
    if found is None or finding.image is None or not finding.path.endswith(finding.image):
        return None
    root = finding.path.removesuffix(finding.image)
    return found[1].removeprefix(root) if found[1].startswith(root) else None


def paths_of(findings: Collection[FindingRow]) -> set[str]:
    """All images that findings name."""
    named = {finding.image for finding in findings} | {other_image(finding) for finding in findings}
    return {path for path in named if path is not None}
