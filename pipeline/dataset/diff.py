"""The differences between two datasets: classes, images, boxes or labels, and splits, each with old and new value.

Images are matched by path, the remaining ones by their bytes; boxes of a matched image by their position. Coordinates
are the edges of the box in pixels of the upright image.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.dataset.model import Box, DatasetImage
from pipeline.dataset.near_duplicates import differing_bits

_MAX_PAIRS = 1_000_000  # of changed boxes in one image; beyond, they are reported as removed and added


class Difference(NamedTuple):
    """One difference. `leaf`: what differs: class, image, box, label or split.

    `path`: of the image in the second dataset, or in the first where the second lacks it.
    """

    leaf: str
    change: str
    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Side:
    """The compared content of one dataset. `splits`: image path -> split."""

    images: list[DatasetImage]
    classes: list[str]
    splits: Mapping[str, str]


class _NamedBox(NamedTuple):
    """A box with the name of its class instead of its id, so that renumbered classes are not a difference."""

    name: str
    edges: tuple[int, int, int, int]
    difficult: bool


def differences(first: Side, second: Side) -> list[Difference]:
    """Classes first, then by path of the image. Empty where the fingerprints are equal."""
    pairs, gone, new = _match(first.images, second.images)
    renamed = _renamed_classes(first, second, pairs)
    found = list(_class_differences(first.classes, second.classes, renamed))
    found += [Difference("image", "removed", image.path, image.sha256, None) for image in gone]
    found += [Difference("image", "added", image.path, None, image.sha256) for image in new]
    for old, now in pairs:
        found += _image_differences(old, now)
        before = [_NamedBox(renamed.get(box.name, box.name), box.edges, box.difficult) for box in _boxes(old, first)]
        found += _box_differences(now.path, before, _boxes(now, second))
        found += _label_differences(now.path, _label(old, first), _label(now, second), renamed)
        if first.splits[old.path] != second.splits[now.path]:
            found.append(Difference("split", "changed", now.path, first.splits[old.path], second.splits[now.path]))
    return sorted(found, key=lambda leaf: (leaf.leaf != "class", leaf.path))  # stable within an image


def _match(
    first: list[DatasetImage], second: list[DatasetImage]
) -> tuple[list[tuple[DatasetImage, DatasetImage]], list[DatasetImage], list[DatasetImage]]:
    """(pairs, only in the first, only in the second), by path, then by bytes."""
    by_path = {image.path: image for image in second}
    pairs = [(image, by_path.pop(image.path)) for image in first if image.path in by_path]
    matched = {old.path for old, _ in pairs}
    by_bytes: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in sorted(by_path.values(), key=lambda image: image.path, reverse=True):
        by_bytes[image.sha256].append(image)
    gone: list[DatasetImage] = []
    for image in sorted((image for image in first if image.path not in matched), key=lambda p: p.path):
        if by_bytes[image.sha256]:
            pairs.append((image, by_bytes[image.sha256].pop()))
        else:
            gone.append(image)
    return pairs, gone, [image for left in by_bytes.values() for image in left]


def _renamed_classes(first: Side, second: Side, pairs: list[tuple[DatasetImage, DatasetImage]]) -> dict[str, str]:
    """Old name -> new name, for names that only one side has, by majority of the boxes with equal edges, or images."""
    gone, new = set(first.classes) - set(second.classes), set(second.classes) - set(first.classes)
    votes: Counter[tuple[str, str]] = Counter()
    for old, now in pairs if gone and new else ():
        names_at = defaultdict(list)
        for box in _boxes(now, second):
            names_at[box.edges].append(box.name)
        votes.update((box.name, name) for box in _boxes(old, first) for name in names_at[box.edges])
        label, other = _label(old, first), _label(now, second)
        if label is not None and other is not None:
            votes[label, other] += 1
    renamed: dict[str, str] = {}
    for (name, other), _ in sorted(votes.items(), key=lambda entry: (-entry[1], entry[0])):
        if name in gone and other in new and name not in renamed and other not in renamed.values():
            renamed[name] = other
    return renamed


def _class_differences(first: list[str], second: list[str], renamed: Mapping[str, str]) -> Iterator[Difference]:
    for name, other in sorted(renamed.items()):
        yield Difference("class", "renamed", "", name, other)
    for name in sorted(set(first) - set(second) - set(renamed)):
        yield Difference("class", "removed", "", name, None)
    for name in sorted(set(second) - set(first) - set(renamed.values())):
        yield Difference("class", "added", "", None, name)


def _image_differences(old: DatasetImage, now: DatasetImage) -> Iterator[Difference]:
    if old.path != now.path:
        yield Difference("image", "renamed", now.path, old.path, now.path)
    if old.sha256 != now.sha256:
        yield Difference("image", "other bytes", now.path, _content(old, now), _content(now, old))


def _content(image: DatasetImage, other: DatasetImage) -> dict[str, Any]:
    content: dict[str, Any] = {"sha256": image.sha256, "width": image.width, "height": image.height}
    if image.phash and other.phash:
        content["phash_distance"] = differing_bits(image.phash, [other.phash])[0]
    return content


def _boxes(image: DatasetImage, side: Side) -> list[_NamedBox]:
    return [_NamedBox(side.classes[box.class_id], _edges(box), box.difficult) for box in image.boxes]


def _label(image: DatasetImage, side: Side) -> str | None:
    return None if image.label is None else side.classes[image.label]


def _label_differences(path: str, old: str | None, new: str | None, renamed: Mapping[str, str]) -> Iterator[Difference]:
    if (renamed.get(old, old) if old else old) != new:
        yield Difference("label", "changed", path, old, new)


def _edges(box: Box) -> tuple[int, int, int, int]:
    return (box.x1, box.y1, box.x2, box.y2)


def _box_differences(path: str, before: list[_NamedBox], after: list[_NamedBox]) -> Iterator[Difference]:
    same = Counter(before) & Counter(after)
    old = list((Counter(before) - same).elements())
    new = list((Counter(after) - same).elements())
    removed, added = set(range(len(old))), set(range(len(new)))
    for _, i, j in sorted(_candidates(old, new)):
        if i in removed and j in added:
            removed.remove(i)
            added.remove(j)
            yield Difference("box", _change(old[i], new[j]), path, _as_dict(old[i]), _as_dict(new[j]))
    for i in sorted(removed):
        yield Difference("box", "removed", path, _as_dict(old[i]), None)
    for j in sorted(added):
        yield Difference("box", "added", path, None, _as_dict(new[j]))


def _candidates(old: list[_NamedBox], new: list[_NamedBox]) -> Iterator[tuple[int, int, int]]:
    """(distance, number in old, number in new) of boxes that may be the same: equal edges, or the same class."""
    if len(old) * len(new) > _MAX_PAIRS:
        return
    for i, one in enumerate(old):
        for j, other in enumerate(new):
            if one.edges == other.edges or one.name == other.name:
                yield sum(abs(a - b) for a, b in zip(one.edges, other.edges, strict=True)), i, j


def _change(old: _NamedBox, new: _NamedBox) -> str:
    changes = []
    if old.name != new.name:
        changes.append("class changed")
    if old.edges != new.edges:
        changes.append("moved")
    if old.difficult != new.difficult:
        changes.append("difficult changed")
    return ", ".join(changes)


def _as_dict(box: _NamedBox) -> dict[str, Any]:
    x1, y1, x2, y2 = (edge / 1000 for edge in box.edges)
    return {"class": box.name, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "difficult": box.difficult}
