"""What is rendered of an image, as the API asks for it: without Pillow, which the API does not load for this."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class RenderedBox(BaseModel):
    """In pixels of the upright image."""

    model_config = ConfigDict(frozen=True)

    label: str
    class_index: int
    x1: float
    y1: float
    x2: float
    y2: float


class RenderTask(BaseModel):
    """`size`: pixels of the longer side, at most; an image is never enlarged. `bytes`: of the image that follows."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["image"] = "image"
    bytes: int
    width: int
    height: int
    size: int
    boxes: tuple[RenderedBox, ...] | None = None

    @property
    def total_bytes(self) -> int:
        return self.bytes


class ComparedBox(BaseModel):
    """In pixels of the upright image. `change`: what happened to it; `was`: where a box was that has moved. Of a
    prediction: `found`, `false`, or a true box that is `missed`."""

    model_config = ConfigDict(frozen=True)

    label: str
    change: Literal["added", "removed", "changed", "was", "same", "found", "false", "missed"]
    x1: float
    y1: float
    x2: float
    y2: float


class ComparedSide(BaseModel):
    """An image in one of the datasets. `bytes`: of the file that follows; 0 where it is that of the side before.

    `caption`: in place of its split and its label; `is_right`: it is coloured so.
    """

    model_config = ConfigDict(frozen=True)

    bytes: int
    width: int
    height: int
    split: str
    label: str | None = None
    boxes: tuple[ComparedBox, ...] = ()
    caption: str | None = None
    is_right: bool | None = None


class ComparedPair(BaseModel):
    """An image before and after; None where the dataset lacks it. `note`: what changed, in some words; `outcome`: it is
    coloured so.

    `is_relabelled`: the image has another class, not only another name of the same one.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    note: str
    is_relabelled: bool = False
    outcome: Literal["won", "lost"] | None = None
    before: ComparedSide | None = None
    after: ComparedSide | None = None


class ComparisonTask(BaseModel):
    """A grid of images before and after. The files of all sides follow, in their order.

    `before`, `after`: the names of the datasets, or with `predictions` of the models. `title`: the line below them.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["comparison"] = "comparison"
    before: str
    after: str
    title: str
    predictions: bool = False
    pairs: tuple[ComparedPair, ...]

    @property
    def total_bytes(self) -> int:
        """Of all files that follow."""
        sides = (side for pair in self.pairs for side in (pair.before, pair.after))
        return sum(side.bytes for side in sides if side is not None)
