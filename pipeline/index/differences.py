"""The difference of two datasets as single lines: each class, image, box, label or split that differs."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from pipeline.dataset.model import Box
from pipeline.index.diff_summary import DiffSummary, ImageChange
from pipeline.index.read_diff import ComparedDatasets, DiffItem, read_all, read_summary
from pipeline.index.schema import IndexedImage


class Difference(NamedTuple):
    """One difference. `item`: what differs: class, image, box, label or split.

    `path`: of the image in the second dataset, or in the first where the second lacks it. Boxes are
    {class, x1, y1, x2, y2, difficult}, their edges in pixels of the upright image.
    """

    item: str
    change: str
    path: str
    old: Any
    new: Any


def differences(compared: ComparedDatasets, *, change: ImageChange | None = None) -> Iterator[Difference]:
    """Classes first, then by path of the image. `change`: only images with it, and no classes."""
    leaves = (image_differences(item, compared) for item in read_all(compared, change=change))
    if change is None:
        yield from class_differences(read_summary(compared))
    yield from chain.from_iterable(leaves)


def class_differences(summary: DiffSummary) -> Iterator[Difference]:
    for shift in sorted(summary.classes, key=lambda shift: (shift.change or "", shift.name)):
        if shift.change == "renamed":
            yield Difference("class", "renamed", "", shift.name_before, shift.name)
        elif shift.change in ("added", "removed"):
            yield Difference("class", shift.change, "", *_sides(shift.name, is_added=shift.change == "added"))
        if shift.id_before is not None and shift.id_after is not None and shift.id_before != shift.id_after:
            ids = ({"class": shift.name, "id": number} for number in (shift.id_before, shift.id_after))
            yield Difference("class", "renumbered", "", *ids)


def image_differences(item: DiffItem, compared: ComparedDatasets) -> Iterator[Difference]:
    """Those of one image. Of an added or a removed image its boxes are not listed."""
    old, new = item.before, item.after
    if old is None or new is None:
        image = old or new
        assert image is not None  # noqa: S101 - for the type checker
        yield Difference("image", item.changes[0], item.path, *_sides(image.sha256, is_added=old is None))
        return
    if "moved" in item.changes:
        yield Difference("image", "moved", item.path, old.path, new.path)
    if "replaced" in item.changes:
        yield Difference("image", "replaced", item.path, _content(old, new), _content(new, old))
    for each in item.boxes:
        before, after = as_dict(each.before, compared.before.classes), as_dict(each.after, compared.after.classes)
        yield Difference("box", ", ".join(each.kinds), item.path, before, after)
    if old.label is not None and new.label is not None and "changed" in item.changes:
        names = compared.before.classes[old.label], compared.after.classes[new.label]
        yield Difference("label", "changed", item.path, *names)
    if "split" in item.changes:
        yield Difference("split", "changed", item.path, old.split, new.split)


def phash_distance(one: IndexedImage, other: IndexedImage) -> int | None:
    """How many of the 256 bits of their perceptual hashes differ; up to 32 they are near-duplicates."""
    if one.phash is None or other.phash is None:
        return None
    return (int.from_bytes(one.phash, "big") ^ int.from_bytes(other.phash, "big")).bit_count()


def as_dict(box: Box | None, classes: Sequence[str]) -> dict[str, Any] | None:
    if box is None:
        return None
    x1, y1, x2, y2 = (edge / 1000 for edge in box[1:5])
    return {"class": classes[box.class_id], "x1": x1, "y1": y1, "x2": x2, "y2": y2, "difficult": box.difficult}


def _sides(value: str, *, is_added: bool) -> tuple[str | None, str | None]:
    return (None, value) if is_added else (value, None)


def _content(image: IndexedImage, other: IndexedImage) -> dict[str, Any]:
    content: dict[str, Any] = {"sha256": image.sha256, "width": image.width, "height": image.height}
    distance = phash_distance(image, other)
    return content if distance is None else content | {"phash_distance": distance}
