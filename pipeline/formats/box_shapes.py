"""Which readings of four numbers put the boxes of a dataset inside their images: corners, sides, or a centre."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SLACK = 0.01  # of the image, by which a box may reach beyond it
_FEW_OUTSIDE = 0.1  # of the boxes: so many are sloppy ones, not another meaning of the columns
_MOST = 0.9  # the rest are boxes with exchanged corners
_NEARLY_ALL = 0.98  # sides fit where a box reaches beyond on the left alone; centres beyond on all sides do not
_MIN_BOXES = 5  # fewer may be large boxes that reach beyond


@dataclass(slots=True)
class BoxShapes:
    """`first`: file and line of the first box."""

    first: tuple[str, int] = ("", 0)
    boxes: int = 0
    corners: int = 0
    sides: int = 0
    centres: int = 0

    def add(self, file: str, line: int, values: Sequence[float], size: tuple[float, float] = (1.0, 1.0)) -> None:
        """`values`: four numbers in the unit of `size`, which is that of the image."""
        if not self.boxes:
            self.first = file, line
        self.boxes += 1
        (a, b, c, d), (wide, high) = values, size
        left, top, right, bottom = -SLACK * wide, -SLACK * high, (1 + SLACK) * wide, (1 + SLACK) * high
        self.corners += left <= a < c <= right and top <= b < d <= bottom
        if c > 0 and d > 0:
            self.sides += left <= a and a + c <= right and top <= b and b + d <= bottom
            across, down = c / 2, d / 2
            self.centres += a - across >= left and a + across <= right and b - down >= top and b + down <= bottom

    def share(self, shape: str) -> float:
        """Of the boxes that lie inside their images where the numbers are `corners`, `sides` or a `centre`."""
        fitting = {"corners": self.corners, "sides": self.sides, "centre": self.centres}[shape]
        return fitting / self.boxes if self.boxes else 1.0

    def are_corners(self, stated: str) -> bool:
        """Whether only corners fit, where the format states another shape."""
        return self.boxes >= _MIN_BOXES and self.share("corners") >= _MOST and self.share(stated) <= 0.5

    def likelier(self) -> Literal["sides", "corners"] | None:
        """Of sides and corners, where none is stated: what fits nearly all boxes, sides where both do.

        Corners that fit as sides as well would all lie in the first half of their images.
        """
        if self.share("sides") >= _NEARLY_ALL:
            return "sides"
        return "corners" if self.share("corners") >= _MOST else None

    def why_unclear(self, stated: str) -> str | None:
        """A sentence where another shape fits better than the stated one, which does not fit either."""
        if self.boxes < _MIN_BOXES or self.share(stated) > 1 - _FEW_OUTSIDE:
            return None
        outside = round(self.boxes * (1 - self.share(stated)))
        found = f"{outside} of {self.boxes} boxes reach beyond their images"
        if self.share("corners") >= _MOST:
            return f"{found}, and all lie inside as left, top, right, bottom."
        if stated != "sides" and self.share("sides") >= _NEARLY_ALL:
            return f"{found}, and all lie inside as left, top, width, height."
        return None
