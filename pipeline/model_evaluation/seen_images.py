"""The images of a split that the model has been trained on: equal ones and near-duplicates, by the image indexes.

Near-duplicates are those of the check of a dataset (docs/decisions/0010-near-duplicates.md): groups of images whose
perceptual hashes differ in few bits. Images of train are what the model was fitted to; those of val only chose its
epoch and its thresholds, and are reported beside them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.dataset.near_duplicates import Groups, differing_bits, group_near_duplicates
from pipeline.index.read import ImageContent, read_contents

_PARTS: tuple[Literal["train", "val"], ...] = ("train", "val")


@dataclass(frozen=True, slots=True)
class SeenImage:
    """An image of the evaluated split; `like` is the image of `part` of `dataset` that it equals or resembles.
    `bits`: how many of the 256 bits of their hashes differ; None for equal files."""

    path: str
    part: Literal["train", "val"]
    like: str
    dataset: str
    bits: int | None


def find_seen_images(
    index: Path, split: str, trained_on: Sequence[tuple[str, Path]], check: Callable[[], None]
) -> list[SeenImage]:
    """By path; each image once, train before val and equal files before near-duplicates. `trained_on`: the name and the
    image index of each dataset. `check` is called at intervals and may raise to stop."""
    images = [each for each in read_contents(index) if each.split == split]
    learnt = {
        part: [(name, each) for name, file in trained_on for each in read_contents(file) if each.split == part]
        for part in _PARTS
    }
    everything = [*images, *(each for part in _PARTS for _, each in learnt[part])]
    groups = group_near_duplicates({each.sha256: each.phash for each in everything}.items(), check)
    found: dict[str, SeenImage] = {}
    for part in _PARTS:
        for seen in (*_equal(images, learnt[part], part), *_near(images, learnt[part], part, groups)):
            found.setdefault(seen.path, seen)
    return sorted(found.values(), key=lambda seen: seen.path)


def _equal(
    images: Sequence[ImageContent], learnt: Sequence[tuple[str, ImageContent]], part: Literal["train", "val"]
) -> list[SeenImage]:
    known = {each.sha256: (name, each.path) for name, each in reversed(learnt)}
    return [
        SeenImage(image.path, part, like=known[image.sha256][1], dataset=known[image.sha256][0], bits=None)
        for image in images
        if image.sha256 in known
    ]


def _near(
    images: Sequence[ImageContent],
    learnt: Sequence[tuple[str, ImageContent]],
    part: Literal["train", "val"],
    groups: Groups,
) -> list[SeenImage]:
    members: dict[str, list[tuple[str, str, bytes]]] = defaultdict(list)
    for name, each in learnt:
        if each.phash is not None:
            members[groups[each.sha256]].append((name, each.path, each.phash))
    found = []
    for image in images:
        others = members.get(groups[image.sha256]) if image.phash is not None else None
        if others and image.phash is not None:
            bits = differing_bits(image.phash, [phash for *_, phash in others])
            fewest = min(range(len(others)), key=lambda place: (bits[place], others[place][1]))
            name, path, _ = others[fewest]
            found.append(SeenImage(image.path, part, like=path, dataset=name, bits=bits[fewest]))
    return found
