"""What changed from one dataset to another, in numbers: what a summary says."""

from collections.abc import Mapping
from math import fsum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ImageChange = Literal["added", "removed", "replaced", "changed", "moved", "split"]
IMAGE_CHANGES: tuple[ImageChange, ...] = ("added", "removed", "replaced", "changed", "moved", "split")
ClassChange = Literal["added", "removed", "renamed", "renumbered"]
_FROZEN = ConfigDict(frozen=True)


class ImageCounts(BaseModel):
    """Images. One in both datasets counts under each of its changes."""

    model_config = _FROZEN

    before: int = Field(examples=[160])
    after: int = Field(examples=[196])
    unchanged: int = Field(description="In both, with the same path, split and annotations.", examples=[150])
    added: int = Field(description="Only in the second.", examples=[40])
    removed: int = Field(description="Only in the first.", examples=[4])
    replaced: int = Field(description="Other bytes at the same path.", examples=[0])
    changed: int = Field(description="Other boxes, or another class of the image.", examples=[3])
    moved: int = Field(description="The same bytes at another path.", examples=[0])
    split: int = Field(description="In another split.", examples=[0])


class BoxCounts(BaseModel):
    """Boxes. `added`, `removed` and `changed` are those of images that both datasets have."""

    model_config = _FROZEN

    before: int = Field(examples=[180])
    after: int = Field(examples=[223])
    added: int = Field(examples=[2])
    removed: int = Field(examples=[1])
    changed: int = Field(description="Moved, or with another class or `difficult`.", examples=[5])
    in_added_images: int = Field(examples=[46])
    in_removed_images: int = Field(examples=[4])


class ClassShift(BaseModel):
    """A class in both datasets. Counts are of boxes, in classification of images; shares are of all of them, 0 to 1."""

    model_config = _FROZEN

    name: str = Field(description="In the second dataset; of a removed class in the first.", examples=["raccoon"])
    change: ClassChange | None = Field(None, description="`renumbered`: it has another id.")
    name_before: str | None = Field(None, description="Of a renamed class.")
    id_before: int | None = Field(None, examples=[0])
    id_after: int | None = Field(None, examples=[0])
    count_before: int = Field(examples=[180])
    count_after: int = Field(examples=[223])
    share_before: float = Field(examples=[1.0])
    share_after: float = Field(examples=[1.0])


class ClassCounts(BaseModel):
    """Classes, by what happened to them."""

    model_config = _FROZEN

    before: int = Field(examples=[1])
    after: int = Field(examples=[2])
    added: int = Field(examples=[1])
    removed: int = Field(examples=[0])
    renamed: int = Field(examples=[0])
    renumbered: int = Field(description="With another id.", examples=[0])


class SplitShift(BaseModel):
    """Images of a split."""

    model_config = _FROZEN

    split: str = Field(examples=["train"])
    before: int = Field(examples=[112])
    after: int = Field(examples=[140])


class SplitMove(BaseModel):
    """Images that changed the split."""

    model_config = _FROZEN

    before: str = Field(examples=["train"])
    after: str = Field(examples=["test"])
    images: int = Field(examples=[2])


class Quantiles(BaseModel):
    """The values below or at which 5, 25, 50, 75 and 95 % are."""

    model_config = _FROZEN

    p5: float = Field(examples=[320.0])
    p25: float = Field(examples=[480.0])
    p50: float = Field(examples=[640.0])
    p75: float = Field(examples=[640.0])
    p95: float = Field(examples=[1280.0])


class SizeShift(BaseModel):
    """Sizes before and after; null without any."""

    model_config = _FROZEN

    measure: Literal["image_width", "image_height", "box_size"] = Field(
        description="Pixels of the upright images; of boxes the square root of their share of the image's area, 0 to 1."
    )
    before: Quantiles | None = None
    after: Quantiles | None = None


class DiffSummary(BaseModel):
    """What changed from the first dataset to the second."""

    model_config = _FROZEN

    images: ImageCounts
    boxes: BoxCounts
    class_counts: ClassCounts
    class_shift: float | None = Field(
        description="Half the sum of the differences of the classes' shares (total variation): 0 where they are the "
        "same, 1 where no class is in both. Null where a dataset has no annotation.",
        examples=[0.08],
    )
    classes: list[ClassShift] = Field(
        description="Added, removed and renamed ones first, then by the difference of their shares."
    )
    splits: list[SplitShift]
    split_moves: list[SplitMove]
    sizes: list[SizeShift]

    @property
    def is_equal(self) -> bool:
        """Whether the two datasets have the same images, annotations, splits and classes."""
        images, classes = self.images, self.class_counts
        return (
            images.before == images.after == images.unchanged
            and not classes.added + classes.removed + classes.renamed + classes.renumbered
        )


def total_variation(before: Mapping[int, int], after: Mapping[int, int]) -> float | None:
    """Half the sum of the differences of the shares, 0 to 1. None where one side has nothing."""
    total_before, total_after = sum(before.values()), sum(after.values())
    if not total_before or not total_after:
        return None
    keys = {*before, *after}  # in any order: `fsum` rounds once
    return fsum(abs(before.get(key, 0) / total_before - after.get(key, 0) / total_after) for key in keys) / 2
