"""What the columns of YOLO label files are: decided once for the set, by all lines that have more than a box."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.formats.box_shapes import BoxShapes

BOX = 5  # columns: the class and its box
_POLYGON = 7  # columns: the class and three points
_ROUNDING = 0.01  # beyond the image, by which a point or a box may lie
_MOST = 0.9
_PARALLELOGRAM = 0.005  # by which the two diagonals of an oriented box may have different centres
_VISIBLE = frozenset((0.0, 1.0, 2.0))


class Reading(StrEnum):
    """What a line holds that is not a class with a centre and sides alone."""

    CONFIDENCE = "confidence"
    TRACK = "track"
    POLYGON = "polygon"
    ORIENTED = "oriented"
    KEYPOINTS = "keypoints"
    CORNERS = "corners"  # in place of a centre and sides


@dataclass(slots=True)
class _Extra:
    """The values of one column: whether all are whole numbers, and whether all lie within 0 .. 1."""

    whole: bool = True
    fraction: bool = True

    def add(self, value: float) -> None:
        self.whole = self.whole and value == int(value) and value >= -1
        self.fraction = self.fraction and 0 <= value <= 1

    @property
    def is_confidence(self) -> bool:
        return self.fraction and not self.whole


@dataclass(slots=True)
class _Lines:
    """The lines of one number of columns; `first`: file and line of the first one. `share` says how many pass a test.

    The tests: `boxes`: the columns two to five are a box inside the image. `points`: all pairs are points of the
    image. `near`: the second pair lies near the others, as a corner of their polygon does, a width and height do not.
    `inside2`, `inside3`: keypoints of two or three values each lie in the box. `visibilities` holds for all lines.
    """

    first: tuple[str, int]
    lines: int = 0
    files: int = 0
    last_file: str = ""
    passed: Counter[str] = field(default_factory=Counter)
    fractions: bool = True
    visibilities: bool = True
    visible: bool = False
    sixth: _Extra = field(default_factory=_Extra)
    seventh: _Extra = field(default_factory=_Extra)

    def most(self, test: str) -> bool:
        """A box or a point of a few lines may lie outside its image, which is an error of these lines alone."""
        return self.passed[test] >= _MOST * self.lines

    def add(self, file: str, values: Sequence[float]) -> None:
        self.lines += 1
        if file != self.last_file:
            self.files, self.last_file = self.files + 1, file
        self.sixth.add(values[4])
        if len(values) > 5:
            self.seventh.add(values[5])
        thirds = values[6::3]
        whole = len(values) % 3 == 1
        self.fractions = self.fractions and whole and all(0 <= value <= 1 for value in thirds)
        self.visibilities = self.visibilities and whole and _VISIBLE.issuperset(thirds)
        self.visible = self.visible or 2 in thirds
        self.passed["boxes"] += _is_box(values)
        self.passed["points"] += min(values) >= -_ROUNDING and max(values) <= 1 + _ROUNDING
        self.passed["near"] += _second_is_near(values)
        self.passed["inside2"] += _is_inside(values, values[4::2], values[5::2])
        self.passed["inside3"] += _is_inside(values, values[4::3], values[5::3])
        self.passed["parallelograms"] += _is_parallelogram(values)
        self.passed["upright"] += _is_upright(values)


class ColumnSurvey:
    """Collects the lines of all files that hold more than a box, and decides what their columns are."""

    def __init__(self) -> None:
        self._of: dict[int, _Lines] = {}
        self._boxes = BoxShapes()

    def add_box(self, file: str, line: int, values: Sequence[float]) -> None:
        """`values`: the four columns after the class."""
        self._boxes.add(file, line, values)

    def add(self, file: str, line: int, values: Sequence[float]) -> None:
        """`values`: the columns after the class, at least five."""
        lines = self._of.get(len(values) + 1)
        if lines is None:
            lines = self._of[len(values) + 1] = _Lines((file, line))
        lines.add(file, values)

    def readings(self, *, boxes: bool) -> dict[int, Reading]:
        """Number of columns -> what they are; without the numbers that fit no reading, or two.

        `boxes`: other lines of the set are boxes alone.
        """
        corners = {BOX: Reading.CORNERS} if self._boxes.are_corners("centre") else {}
        simple = {count: found for count, lines in self._of.items() if (found := _simple(count, lines))}
        left = [count for count in self._of if count not in simple and count >= _POLYGON and count % 2]
        varied = len(left) > 1
        pointed = {
            count: found for count in left if (found := _by_points(count, self._of[count], varied=varied, boxes=boxes))
        }
        return corners | simple | pointed

    def why_unclear(self) -> str | None:
        """A sentence where the columns of a box may not be its centre and sides, though they are not surely corners."""
        return self._boxes.why_unclear("centre")

    def findings(self, readings: dict[int, Reading]) -> Iterator[Finding]:
        """One error for each number of columns that fits no reading, at its first line."""
        if BOX not in readings and (why := self.why_unclear()):
            path, line = self._boxes.first
            yield Finding.of("box-columns-unclear", path, f"Read as centre, width, height, {why}", line=line)
        for count, lines in sorted(self._of.items()):
            if count not in readings:
                number, files = counted(lines.lines, "line has", "lines have"), counted(lines.files, "label file")
                detail = f"{number} {count} columns, in {files}: {_why_none(count, lines)}"
                yield Finding.of("label-line-invalid", lines.first[0], detail, line=lines.first[1])


def _simple(count: int, lines: _Lines) -> Reading | None:
    """A confidence, a track id, or keypoints with a visibility each: what the values alone show."""
    if count == BOX + 1:
        if lines.sixth.is_confidence:
            return Reading.CONFIDENCE
        return Reading.TRACK if lines.sixth.whole else None
    if not lines.most("boxes"):
        return None
    if count == BOX + 2:
        extra = (lines.sixth, lines.seventh)
        return Reading.TRACK if any(each.is_confidence for each in extra) and any(e.whole for e in extra) else None
    sure = lines.visible or not (lines.most("points") and lines.most("near"))
    return Reading.KEYPOINTS if lines.visibilities and sure else None


def _by_points(count: int, lines: _Lines, *, varied: bool, boxes: bool) -> Reading | None:
    """A polygon where the number of points varies or no box with keypoints fits; keypoints where only they fit.

    Where both fit, four corners of a rectangle are a polygon, and so are lines among `boxes`: a tool that writes
    keypoints writes them into every line. `varied`: other lines of the set have other numbers of points.
    """
    polygons, rectangles = lines.most("points"), count == BOX + 4 and lines.most("parallelograms")
    inside = lines.most("inside2") or (lines.most("inside3") and lines.fractions)
    if not varied and lines.most("boxes") and inside and not rectangles:
        if not (polygons and lines.most("near")):
            return Reading.KEYPOINTS
        polygons = boxes
    if not polygons:
        return None
    return Reading.ORIENTED if rectangles and not varied and not lines.most("upright") else Reading.POLYGON


def _why_none(count: int, lines: _Lines) -> str:
    if count == BOX + 1:
        return (
            "the sixth is neither a confidence (0 .. 1) nor a track id (whole numbers). If it is an angle, export "
            "upright boxes."
        )
    if count % 2 and lines.most("boxes") and (lines.most("inside2") or lines.most("inside3")):
        return (
            "they may be polygons, or boxes with keypoints. State `kpt_shape` in data.yaml for keypoints; else write "
            "the boxes alone."
        )
    if count == BOX + 5:
        return "four corners of an oriented box have 9, with a confidence 10. Leave the confidence out."
    return "a box has 5, a polygon a class and at least three pairs within 0 .. 1, keypoints two or three values each."


def _is_box(values: Sequence[float]) -> bool:
    x, y, width, height = values[:4]
    return (
        width > 0
        and height > 0
        and min(x - width / 2, y - height / 2) >= -_ROUNDING
        and max(x + width / 2, y + height / 2) <= 1 + _ROUNDING
    )


def _second_is_near(values: Sequence[float]) -> bool:
    """Whether the second pair is at most as far from the box around the others as that is wide, or high."""
    for axis in (0, 1):
        others = [values[axis], *values[axis + 4 :: 2]]
        low, high = min(others), max(others)
        if not low - (high - low) - _ROUNDING <= values[axis + 2] <= high + (high - low) + _ROUNDING:
            return False
    return True


def _is_inside(values: Sequence[float], xs: Sequence[float], ys: Sequence[float]) -> bool:
    """Whether points lie in the box, or within a tenth of it around it; 0, 0 stands for one that is not labelled."""
    x, y, width, height = values[:4]
    return len(xs) == len(ys) and all(
        (abs(px - x) <= width * 0.6 and abs(py - y) <= height * 0.6) or (px == 0 and py == 0)
        for px, py in zip(xs, ys, strict=True)
    )


def _is_parallelogram(values: Sequence[float]) -> bool:
    return len(values) == 8 and all(
        abs(values[at] + values[at + 4] - values[at + 2] - values[at + 6]) <= _PARALLELOGRAM for at in (0, 1)
    )


def _is_upright(values: Sequence[float]) -> bool:
    return len(set(values[0::2])) <= 2 and len(set(values[1::2])) <= 2
