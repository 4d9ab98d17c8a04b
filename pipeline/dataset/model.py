"""The neutral dataset: what every format reads into and every layout is written from.

Coordinates are integers in 1/1000 of a pixel, 0 at the image's left and top edge; x2 and y2 are edges, not
pixels: a box around the whole of a 640 x 480 image is (0, 0, 640000, 480000).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from core.domain.findings import Finding
from pipeline.archive.byte_range import ByteRange
from pipeline.archive.source import SourceFile

# How a format means its numbers. `pixels`: VOC's 1-based inclusive pixels, already as edges (xmin - 1, xmax).
# `edges`: what lies between pixels, from 0. `fractions`: of the upright image, in units of 1/FRACTION.
Coordinates = Literal["pixels", "edges", "fractions"]
FRACTION = 2 * 10**12  # twelve decimals, and halves of them: a centre and half a width are exact


class RawBox(NamedTuple):
    """A box as its annotation says, in 1/1000 px (or 1/FRACTION), unclipped, possibly inverted. `line` is 1-based."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int
    difficult: bool
    line: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One image and what is said about it. `size` is the declared (width, height) or None.

    `split` is train, val, test or None where the archive gives none; `label` the class of the whole image.
    """

    image: SourceFile
    boxes: tuple[RawBox, ...] = ()
    split: str | None = None
    annotation: str | None = None
    size: tuple[int, int] | None = None
    size_line: int | None = None
    label: str | None = None
    coordinates: Coordinates = "pixels"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a reader saw. `broken`: images whose annotation cannot be used; `lost`: how many annotations lack one."""

    kind: str
    format: str
    items: tuple[Item, ...]
    findings: list[Finding] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    lost: int = 0


class RepairedItem(NamedTuple):
    """An item whose boxes lie inside its image, in `edges` of the upright one, which has `item.size`.

    `changed`: its annotation must be written anew, since a box, the size or the image's name was mended.
    `origins`: for each box, its position among those that were read.
    """

    item: Item
    changed: bool
    origins: tuple[int, ...] = ()


class Box(NamedTuple):
    """A checked box: class index, edges in 1/1000 px inside the upright image, x1 < x2 and y1 < y2."""

    class_id: int
    x1: int
    y1: int
    x2: int
    y2: int
    difficult: bool


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """A checked item, ready to be written. `path` is relative to the dataset's root; size is upright, in pixels.

    `converted`: trainers would read it differently or not at all, so it was written anew as PNG, there. `look`: what
    it looks like (`pipeline/decode/phash.py`), None where that says nothing. `label`: the class index of the whole
    image, None where boxes have the classes.
    """

    path: str
    source: SourceFile
    width: int
    height: int
    format: str
    converted: ByteRange | None
    boxes: tuple[Box, ...]
    given_split: str | None
    phash: bytes | None = None
    label: int | None = None

    @property
    def class_ids(self) -> set[int]:
        """The classes that are in it: of its boxes, or of the whole image; empty for background."""
        return {box.class_id for box in self.boxes} if self.label is None else {self.label}

    @property
    def written(self) -> ByteRange:
        """The bytes that trainers get."""
        return self.converted or self.source.byte_range

    @property
    def name(self) -> str:
        """Its path in the archive."""
        return self.source.name

    @property
    def sha256(self) -> str:
        return self.source.sha256


SPLITS = ("train", "val", "test")
HELD_OUT_SPLITS = ("val", "test")  # a run evaluates both after training; test is not used before
HUGGINGFACE_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # our name -> that of the Hugging Face hub


def common_folder(names: list[str]) -> str:
    """The deepest folder that holds all of `names`, with a trailing slash; empty for none."""
    if not names:
        return ""
    first, last = (PurePosixPath(name).parent.parts for name in (min(names), max(names)))
    # The common prefix of the smallest and the largest is the common prefix of all.
    common: list[str] = []
    for left, right in zip(first, last, strict=False):
        if left != right:
            break
        common.append(left)
    return "".join(f"{part}/" for part in common)


def root_of(kept: Sequence[RepairedItem]) -> str:
    """The deepest folder that holds all images and annotations, with a trailing slash."""
    names = [name for item, *_ in kept for name in (item.image.name, item.annotation) if name]
    return common_folder(names)
