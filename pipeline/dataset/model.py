"""The neutral dataset model: every format is read into it and every layout is written from it.

Coordinates are integers in 1/1000 of a pixel, 0 at the image's left and top edge; x2 and y2 are edges, not
pixels: a box around the whole of a 640 x 480 image is (0, 0, 640000, 480000).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from core.domain.findings import Finding
from pipeline.archive.byte_range import ByteRange
from pipeline.archive.source import SourceFile

if TYPE_CHECKING:
    from pipeline.decode.image_facts import Traits  # which imports numpy: the API reads the model alone

# How a format states coordinates. `pixels`: VOC's 1-based inclusive pixels, converted to edges (xmin - 1, xmax).
# `edges`: edges between pixels, from 0. `fractions`: of the upright image, in units of 1/FRACTION.
Coordinates = Literal["pixels", "edges", "fractions"]
FRACTION = 2 * 10**12  # twelve decimals, and halves of them: a centre and half a width are exact


class RawBox(NamedTuple):
    """A box as annotated, in 1/1000 px (or 1/FRACTION): unclipped, possibly inverted. `line` is 1-based."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int
    difficult: bool
    line: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One image with its annotation. `size`: the declared (width, height), or None.

    `split`: train, val or test, None where the archive gives none. `label`: the class of the whole image.
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
    """What a format reads. `broken`: images with an unusable annotation; `lost`: count of annotations with no image.

    `used`: files besides the annotations of the items that were read, or are left out with a finding.
    `class_order`: names of classes in the order of their ids, before all others; empty where the archive gives none.
    """

    kind: str
    format: str
    items: tuple[Item, ...]
    findings: list[Finding] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    lost: int = 0
    used: frozenset[str] = frozenset()
    class_order: tuple[str, ...] = ()


class RepairedItem(NamedTuple):
    """An item after a repair: its boxes are `edges` inside the upright image, whose size is `item.size`.

    `changed`: its annotation must be rewritten, because a box, the size or the name of the image was repaired.
    `origins`: for each box, its index among the boxes that were read.
    """

    item: Item
    changed: bool
    origins: tuple[int, ...] = ()


class Box(NamedTuple):
    """A checked box: class index and edges in 1/1000 px inside the upright image, with x1 < x2 and y1 < y2."""

    class_id: int
    x1: int
    y1: int
    x2: int
    y2: int
    difficult: bool


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """A checked item, ready to be written. `path` is relative to the dataset's root; the size is upright, in pixels.

    `converted`: where its PNG copy is, if trainers would misread the original. `phash`: the perceptual hash
    (`pipeline/decode/phash.py`), None for images that are too uniform for one. `label`: class index of the whole
    image, None in detection. `end`: how many bytes of the file are the image, 0 for all; trainers get no others.
    `brightness` and `blur`: see `pipeline/decode/quality.py`. `annotation`: the name of its file in the archive.
    `traits`: the rest of the facts that decoding it found, where they are worth keeping.
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
    end: int = 0
    brightness: float = 0.0
    blur: float = 0.0
    annotation: str | None = None
    traits: "Traits | None" = None

    @property
    def class_ids(self) -> set[int]:
        """The classes of its boxes, or of the whole image; empty for background."""
        return {box.class_id for box in self.boxes} if self.label is None else {self.label}

    @property
    def written(self) -> ByteRange:
        """The bytes that trainers read."""
        whole = self.source.byte_range
        return self.converted or (whole._replace(size=min(self.end, whole.size)) if self.end else whole)

    @property
    def name(self) -> str:
        """Its path in the archive."""
        return self.source.name

    @property
    def sha256(self) -> str:
        return self.source.sha256


READING = 2  # the rules by which an archive is read (docs/decisions/0022): part of the fingerprint
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
