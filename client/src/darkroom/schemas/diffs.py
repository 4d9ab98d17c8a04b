"""What changed from one dataset to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.schemas.datasets import DatasetBox


@dataclass(frozen=True)
class ComparedDataset:
    """One of the two datasets."""

    job_id: str
    dataset: str
    fingerprint: str
    links: Mapping[str, str]
    content_fingerprint: str | None = None


@dataclass(frozen=True)
class ImageCounts:
    """Images. One in both datasets counts under each of its changes."""

    before: int
    after: int
    unchanged: int
    added: int
    removed: int
    replaced: int
    changed: int
    moved: int
    split: int


@dataclass(frozen=True)
class BoxCounts:
    """Boxes. `added`, `removed` and `changed` are those of images that both datasets have."""

    before: int
    after: int
    added: int
    removed: int
    changed: int
    in_added_images: int
    in_removed_images: int


@dataclass(frozen=True)
class ClassCounts:
    before: int
    after: int
    added: int
    removed: int
    renamed: int
    renumbered: int


@dataclass(frozen=True)
class ClassShift:
    """A class in both datasets. Counts are of boxes, in classification of images; shares are of all of them, 0 to 1.

    `change`: `added`, `removed`, `renamed`, or `renumbered`: it has another id.
    """

    name: str
    count_before: int
    count_after: int
    share_before: float
    share_after: float
    change: str | None = None
    name_before: str | None = None
    id_before: int | None = None
    id_after: int | None = None


@dataclass(frozen=True)
class SplitShift:
    split: str
    before: int
    after: int


@dataclass(frozen=True)
class SplitMove:
    """Images that changed the split."""

    before: str
    after: str
    images: int


@dataclass(frozen=True)
class Quantiles:
    """The values below or at which 5, 25, 50, 75 and 95 % are."""

    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


@dataclass(frozen=True)
class SizeShift:
    """`measure`: `image_width`, `image_height` in pixels; `box_size`: the square root of a box's share of its image."""

    measure: str
    before: Quantiles | None = None
    after: Quantiles | None = None


@dataclass(frozen=True)
class DiffSummary:
    """What changed, in numbers. `class_shift`: 0 where the shares of the classes are the same, 1 where none is in both.

    Of the classes those that changed come first, then those whose share shifts most.
    """

    images: ImageCounts
    boxes: BoxCounts
    class_counts: ClassCounts
    class_shift: float | None
    classes: tuple[ClassShift, ...]
    splits: tuple[SplitShift, ...]
    split_moves: tuple[SplitMove, ...]
    sizes: tuple[SizeShift, ...]


@dataclass(frozen=True)
class BoxDiff:
    """A box that differs. `change`: `added`, `removed` or `changed`; `kinds` says how, such as `moved`."""

    change: str
    kinds: tuple[str, ...]
    before: DatasetBox | None = None
    after: DatasetBox | None = None
    iou: float | None = None


@dataclass(frozen=True)
class ImageSide:
    """An image in one of the datasets."""

    path: str
    sha256: str
    split: str
    width: int
    height: int
    box_count: int
    links: Mapping[str, str]
    label: str | None = None


@dataclass(frozen=True)
class ImageDiff:
    """An image that differs. `before` or `after` is None where its dataset lacks it.

    `changes`: `added`, `removed`, `replaced` (other bytes at the same path), `changed` (other annotations), `moved`
    (another path), `split`.
    """

    path: str
    changes: tuple[str, ...]
    boxes_added: int
    boxes_removed: int
    boxes_changed: int
    boxes: tuple[BoxDiff, ...]
    before: ImageSide | None = None
    after: ImageSide | None = None
    phash_distance: int | None = None


@dataclass(frozen=True)
class DatasetDiff:
    """What changed from one dataset to another: a summary, and the first images that differ."""

    items: tuple[ImageDiff, ...]
    before: ComparedDataset
    after: ComparedDataset
    equal: bool
    summary: DiffSummary
    links: Mapping[str, str]
    next_cursor: str | None = None
