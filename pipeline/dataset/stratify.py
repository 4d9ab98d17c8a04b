"""Stratification of groups: images that stay together are shared out to splits, class by class.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) of groups: the class with the fewest unassigned images
first, each group to the split that still needs most of that class, large groups before small ones. Ties are ordered by
a hash of the seed and the group's images, so file names and the order of the archive have no influence.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from pipeline.dataset.model import SPLITS, DatasetImage

_BACKGROUND = -1  # the class of images without boxes


@dataclass(frozen=True, slots=True)
class Group:
    """Images that stay together. `classes`: class -> number of images with it; `size`: number of images."""

    name: str
    key: bytes
    classes: Mapping[int, int]
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """What splits hold already. `classes`: split -> class -> number of images with it; `sizes`: split -> images."""

    classes: Mapping[str, Mapping[int, int]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    sizes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    @classmethod
    def of(cls, images: list[DatasetImage]) -> "Held":
        classes: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
        for image in images:
            classes[image.given_split or "train"].update(image.class_ids or {_BACKGROUND})
        sizes = Counter(image.given_split or "train" for image in images)
        return cls(classes, {split: sizes[split] for split in SPLITS})

    def total(self, class_id: int) -> int:
        return sum(counts.get(class_id, 0) for counts in self.classes.values())


NOTHING_HELD = Held()


def gather(images: list[DatasetImage], seed: int, groups: Mapping[str, str]) -> list[Group]:
    """Large groups first, while every split has room for them."""
    classes: dict[str, dict[int, int]] = {}
    sizes: Counter[str] = Counter()
    alone: dict[frozenset[int], dict[int, int]] = {}  # shared by all groups of one image with the same classes
    for image in images:
        name, found = groups[image.sha256], frozenset(image.class_ids or {_BACKGROUND})
        if not sizes[name]:
            classes[name] = alone.setdefault(found, dict.fromkeys(found, 1))
        else:
            if sizes[name] == 1:
                classes[name] = Counter(classes[name])
            for class_id in found:
                classes[name][class_id] = classes[name].get(class_id, 0) + 1
        sizes[name] += 1
    gathered = [
        Group(name, hashlib.sha256(f"{seed}:{name}".encode()).digest(), counts, sizes[name])
        for name, counts in classes.items()
    ]
    return sorted(gathered, key=lambda group: (-group.size, group.key))


def stratify(groups: list[Group], shares: Mapping[str, float], held: Held = NOTHING_HELD) -> dict[str, str]:
    members: dict[int, list[Group]] = defaultdict(list)
    for group in groups:
        for class_id in group.classes:
            members[class_id].append(group)
    left = {class_id: sum(group.classes[class_id] for group in found) for class_id, found in members.items()}
    wants = {
        split: {
            class_id: share * (count + held.total(class_id)) - held.classes[split].get(class_id, 0)
            for class_id, count in left.items()
        }
        for split, share in shares.items()
    }
    total = sum(group.size for group in groups) + sum(held.sizes.values())
    room = {split: share * total - held.sizes[split] for split, share in shares.items()}
    assigned: dict[str, str] = {}
    waiting = [(count, class_id) for class_id, count in left.items()]
    heapify(waiting)
    while waiting:
        count, rarest = heappop(waiting)
        if left.get(rarest) != count:  # an older count: the current one is in the heap as well
            continue
        for group in members[rarest]:
            if group.name in assigned:
                continue
            # Ties go to the emptier split, then to train: the order of SPLITS.
            split = max(SPLITS, key=lambda name: (wants[name][rarest], room[name]))
            assigned[group.name] = split
            room[split] -= group.size
            for class_id, count in group.classes.items():
                wants[split][class_id] -= count
                if class_id in left:
                    left[class_id] -= count
                    heappush(waiting, (left[class_id], class_id))
        del left[rarest]
    return assigned


def fill_train(groups: list[Group], assigned: dict[str, str], held: Held = NOTHING_HELD) -> None:
    """Give train an image of each class, at the expense of the other splits. Small groups are moved first."""
    present = {class_id for group in groups if assigned[group.name] == "train" for class_id in group.classes}
    present |= held.classes["train"].keys()
    for group in reversed(groups):
        if assigned[group.name] != "train" and group.classes.keys() - present - {_BACKGROUND}:
            assigned[group.name] = "train"
            present |= group.classes.keys()


def move_one(groups: list[Group], assigned: dict[str, str], split: str) -> None:
    """Move one group from train to an empty split, if train keeps all its classes without it."""
    train = [group for group in groups if assigned[group.name] == "train"]
    counts = Counter(class_id for group in train for class_id in group.classes)
    # Labelled images first: nothing can be measured on a split of pure background.
    for group in sorted(train, key=lambda group: (_BACKGROUND in group.classes, group.size)):
        if len(train) > 1 and all(counts[class_id] > 1 or class_id == _BACKGROUND for class_id in group.classes):
            assigned[group.name] = split
            return


def fill_held_out(groups: list[Group], assigned: dict[str, str], splits: list[str], held: Held = NOTHING_HELD) -> None:
    """For classification: give each of `splits` an image of each class, if train keeps one too.

    Not for detection: an image has several classes there, and moving it for one of them moves the others as well.
    """
    train = Counter(class_id for group in groups if assigned[group.name] == "train" for class_id in group.classes)
    train.update(held.classes["train"])
    for split in splits:
        present = {class_id for group in groups if assigned[group.name] == split for class_id in group.classes}
        present |= held.classes[split].keys()
        for group in reversed(groups):  # small ones first
            wanted = group.classes.keys() - present
            if wanted and assigned[group.name] == "train" and all(train[class_id] > 1 for class_id in group.classes):
                assigned[group.name] = split
                present |= group.classes.keys()
                train.subtract(group.classes.keys())
