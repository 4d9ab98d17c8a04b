"""The grid of images before and after: what is drawn on which, and where their bytes are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from core.db.tables import DatasetRow, JobRow
from core.domain.errors import Unavailable
from core.domain.model_names import dataset_name
from core.storage import ObjectMissing, ObjectStore
from pipeline.archive.plural import counted
from pipeline.dataset.model import Box
from pipeline.index.diff_summary import ImageChange
from pipeline.index.read_diff import DiffItem
from pipeline.index.schema import IndexedImage
from pipeline.process.render_task import ComparedBox, ComparedPair, ComparedSide, ComparisonTask

COMPARISON_VERSION = 3  # of how it is drawn: raised with it, so that no older one is taken from a browser's cache
BOXES_DRAWN = 300  # of one image; what differs first
_PATH_LENGTH = 32  # of the path that an image had
_IMAGES: dict[ImageChange | None, str] = {
    None: "images that differ",
    "added": "images that were added",
    "removed": "images that were removed",
    "replaced": "images with other bytes",
    "changed": "images with other annotations",
    "moved": "images with another path",
    "split": "images in another split",
}
_BOXES = {
    "added": "added",
    "removed": "removed",
    "class changed": "with another class",
    "moved": "moved",
    "difficult changed": "with another difficult",
}

Change = Literal["added", "removed", "changed", "was", "same"]


def comparison_task(
    items: Sequence[DiffItem], jobs: tuple[JobRow, JobRow], *, differing: int, change: ImageChange | None
) -> ComparisonTask:
    """`differing`: how many images differ, of which `items` are rendered."""
    before, after = jobs
    of_all = f" of {differing:,}" if len(items) < differing else ""
    order = ", those with the most changed annotations first" if of_all else ""
    return ComparisonTask(
        before=dataset_name(before.project, before.revision),
        after=dataset_name(after.project, after.revision),
        title=f"{len(items) or 'No'}{of_all} {_IMAGES[change]}{order}",
        pairs=tuple(compared_pair(item, before.classes or [], after.classes or []) for item in items),
    )


def comparison_bytes(
    store: ObjectStore, items: Sequence[DiffItem], sets: tuple[DatasetRow, DatasetRow]
) -> Iterator[bytes]:
    """The files of `comparison_task`, in its order. Raises Unavailable."""
    for item in items:
        for image, dataset in zip((item.before, item.after), sets, strict=True):
            if image is None or (image is item.after and _is_one_file(item)):
                continue
            try:
                yield from store.open(dataset.key, start=image.at, end=image.at + image.bytes - 1)
            except ObjectMissing as error:
                raise Unavailable("The dataset is missing from the object store.", service="store") from error


def _is_one_file(item: DiffItem) -> bool:
    """Whether both sides are the same bytes in the prepared sets: then they are sent once."""
    one, other = item.before, item.after
    return (
        one is not None
        and other is not None
        and (one.sha256, one.bytes, one.format) == (other.sha256, other.bytes, other.format)
    )


def compared_pair(item: DiffItem, before: Sequence[str], after: Sequence[str]) -> ComparedPair:
    """`before`, `after`: the classes of the two datasets. Of each side at most BOXES_DRAWN boxes."""
    old = new = None
    if item.before is not None:
        boxes = _boxes(item, before, is_after=False)
        old = _side(item.before, before, boxes, size=item.before.bytes)
    if item.after is not None:
        boxes = _boxes(item, after, is_after=True)
        new = _side(item.after, after, boxes, size=0 if _is_one_file(item) else item.after.bytes)
    return ComparedPair(path=item.path, note=_note(item), is_relabelled=_is_relabelled(item), before=old, after=new)


def _is_relabelled(item: DiffItem) -> bool:
    return item.before is not None and item.before.label is not None and "changed" in item.changes


def _side(image: IndexedImage, classes: Sequence[str], boxes: Sequence[ComparedBox], *, size: int) -> ComparedSide:
    return ComparedSide(
        bytes=size,
        width=image.width,
        height=image.height,
        split=image.split,
        label=None if image.label is None else classes[image.label],
        boxes=tuple(boxes[:BOXES_DRAWN]),
    )


def _boxes(item: DiffItem, classes: Sequence[str], *, is_after: bool) -> list[ComparedBox]:
    """What differs first. Of an image that one dataset lacks, all boxes are added or removed."""
    image = item.after if is_after else item.before
    assert image is not None  # noqa: S101 - for the type checker
    if item.before is None or item.after is None:
        alone: Change = "added" if is_after else "removed"
        return [_box(box, classes, alone) for box in image.boxes]
    found = [(each.after if is_after else each.before, each.kind) for each in item.boxes]
    changes = {box: kind for box, kind in found if box is not None}
    was = [each.before for each in item.boxes if is_after and "moved" in each.kinds and each.before is not None]
    return [
        *(_box(box, classes, changes[box]) for box in image.boxes if box in changes),
        *(_box(box, (), "was") for box in was),
        *(_box(box, classes, "same") for box in image.boxes if box not in changes),
    ]


def _box(box: Box, classes: Sequence[str], change: Change) -> ComparedBox:
    x1, y1, x2, y2 = (edge / 1000 for edge in box[1:5])
    label = "" if change == "was" else classes[box.class_id]
    return ComparedBox(label=label, change=change, x1=x1, y1=y1, x2=x2, y2=y2)


def _note(item: DiffItem) -> str:
    if item.before is None or item.after is None:
        return item.changes[0]
    parts = ["other split"] if "split" in item.changes else []
    if "moved" in item.changes:
        parts.append(f"was {item.before.path[-_PATH_LENGTH:]}")
    if "replaced" in item.changes:
        parts.append("other bytes")
    if _is_relabelled(item):
        parts.append("other class")
    counts = Counter(kind for each in item.boxes for kind in each.kinds)
    return ", ".join(
        [*parts, *(f"{counted(counts[kind], 'box', 'boxes')} {text}" for kind, text in _BOXES.items() if counts[kind])]
    )
