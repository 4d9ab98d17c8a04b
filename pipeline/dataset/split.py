"""Train, val and test splits: deterministic, keyed by content, stratified by class; near-duplicates stay together.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) of groups: the class with the fewest unassigned images
first, each group to the split that still needs most of that class, large groups before small ones. Ties are ordered by
a hash of the seed and the group's images, so file names and the order of the archive have no influence.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Protocol

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import HELD_OUT_SPLITS, SPLITS, DatasetImage
from pipeline.dataset.split_leakage import leaks
from pipeline.dataset.split_sequence import by_sequence, sequence_leak

SPLIT_RULE = 2  # part of the fingerprint: incremented whenever the same images would be split differently
_BACKGROUND = -1  # the class of images without boxes
_MAX_CUT = 0.5  # of a given train: at most this part of it is moved to a missing val
_UNEVEN = 0.5  # of the requested size: a smaller split gets a warning


class SplitOptions(Protocol):
    """The fields of PrepareOptions that decide a split."""

    @property
    def val_fraction(self) -> float: ...
    @property
    def test_fraction(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def split(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Group:
    """Images that stay together. `classes`: class -> number of images with it; `size`: number of images."""

    name: str
    key: bytes
    classes: Mapping[int, int]
    size: int


@dataclass(frozen=True, slots=True)
class _Held:
    """What splits hold already. `classes`: split -> class -> number of images with it; `sizes`: split -> images."""

    classes: Mapping[str, Mapping[int, int]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    sizes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    @classmethod
    def of(cls, images: list[DatasetImage]) -> "_Held":
        classes: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
        for image in images:
            classes[image.given_split or "train"].update(image.class_ids or {_BACKGROUND})
        sizes = Counter(image.given_split or "train" for image in images)
        return cls(classes, {split: sizes[split] for split in SPLITS})

    def total(self, class_id: int) -> int:
        return sum(counts.get(class_id, 0) for counts in self.classes.values())


_NOTHING_HELD = _Held()


def assign_splits(
    images: list[DatasetImage], classes: list[str], options: SplitOptions, groups: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[Finding]]:
    """Image path -> split, and findings; a class without an image in train is an error among them.

    `groups`: sha256 of an image -> name of its group of near-duplicates, which stays together; without it only images
    with the same bytes stay together.
    """
    groups = groups if groups is not None else {image.sha256: image.sha256 for image in images}
    if keeps_given(images, options.split):
        given = {image.path: image.given_split for image in images if image.given_split}
        splits, findings = _keep(images, given, options, groups)
    elif options.split == "sequence":
        splits = by_sequence(images, options)
        findings = sequence_leak(images, splits, groups)
    else:
        findings = _unusable(images) if options.split == "keep" else []
        splits = _remake(images, options, groups)
        findings += _uneven(images, splits, options, groups)
    return splits, findings + _check(images, splits, classes, options, groups)


def split_added(
    images: list[DatasetImage],
    held: list[DatasetImage],
    shares: Mapping[str, float],
    *,
    seed: int,
    groups: Mapping[str, str],
) -> dict[str, str]:
    """Image path -> split of `images`, which are added to `held`, whose `given_split` is theirs and stays.

    `shares`: split -> its fraction of all images; the added ones go where most are missing. `groups` as in
    `assign_splits`; an image of `held` is in none of theirs.
    """
    gathered = _gather(images, seed, groups)
    fixed = _Held.of(held)
    assigned = _stratify(gathered, shares, fixed)
    _fill_train(gathered, assigned, fixed)
    if any(image.label is not None for image in images):
        wanted = [split for split in HELD_OUT_SPLITS if shares.get(split, 0) > 0]
        _fill_held_out(gathered, assigned, wanted, fixed)
    return {image.path: assigned[groups[image.sha256]] for image in images}


def keeps_given(images: list[DatasetImage], split: str) -> bool:
    """Whether the split of the archive is kept: `split` is keep, and some images are held out and others not."""
    parts = _given_parts(images)
    trained = "train" in parts or any(image.given_split is None for image in images)
    return split == "keep" and trained and not parts.isdisjoint(HELD_OUT_SPLITS)


def _given_parts(images: list[DatasetImage]) -> set[str]:
    return {image.given_split for image in images if image.given_split}


def _unusable(images: list[DatasetImage]) -> list[Finding]:
    """A warning if the archive gives a split."""
    parts = _given_parts(images)
    if not parts:
        return []
    if parts == {"train"}:
        detail = "The archive gives only a train part of a split; a new split of all images is made."
    else:
        present = " and ".join(split for split in SPLITS if split in parts)
        detail = f"The archive gives only {present} of a split and no train part; a new split of all images is made."
    return [Finding.of("split-unusable", "", detail)]


def _keep(
    images: list[DatasetImage], given: dict[str, str], options: SplitOptions, groups: Mapping[str, str]
) -> tuple[dict[str, str], list[Finding]]:
    findings = leaks(images, given, groups)
    splits = {image.path: given.get(image.path, "train") for image in images}
    if len(given) < len(images):
        detail = f"{counted(len(images) - len(given), 'image')} in no part of the given split, added to train."
        findings.append(Finding.of("split-partial", "", detail))
    if "val" not in given.values():
        train = [image for image in images if splits[image.path] == "train"]
        fraction = min(options.val_fraction * len(images) / len(train), _MAX_CUT)
        splits |= _by_content(train, {"val": fraction, "test": 0.0}, options.seed, groups)
        count = sum(split == "val" for split in splits.values())
        if count:
            moved = "1 image was" if count == 1 else f"{count} images were"
            detail = f"The archive gives no usable image for validation: {moved} moved from train."
            findings.append(Finding.of("split-val-from-train", "", detail))
    return splits, findings


def _remake(images: list[DatasetImage], options: SplitOptions, groups: Mapping[str, str]) -> dict[str, str]:
    fractions = {"val": options.val_fraction, "test": options.test_fraction}
    return _by_content(images, fractions, options.seed, groups)


def _by_content(
    images: list[DatasetImage], fractions: dict[str, float], seed: int, groups: Mapping[str, str]
) -> dict[str, str]:
    gathered = _gather(images, seed, groups)
    shares = {"train": 1.0 - sum(fractions.values()), **fractions}
    assigned = _stratify(gathered, shares)
    _fill_train(gathered, assigned)
    for split in HELD_OUT_SPLITS:
        if fractions[split] > 0 and split not in assigned.values():
            _move_one(gathered, assigned, split)
    if any(image.label is not None for image in images):
        _fill_held_out(gathered, assigned, [split for split in HELD_OUT_SPLITS if fractions[split] > 0])
    return {image.path: assigned[groups[image.sha256]] for image in images}


def _gather(images: list[DatasetImage], seed: int, groups: Mapping[str, str]) -> list[_Group]:
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
        _Group(name, hashlib.sha256(f"{seed}:{name}".encode()).digest(), counts, sizes[name])
        for name, counts in classes.items()
    ]
    return sorted(gathered, key=lambda group: (-group.size, group.key))


def _stratify(groups: list[_Group], shares: Mapping[str, float], held: _Held = _NOTHING_HELD) -> dict[str, str]:
    members: dict[int, list[_Group]] = defaultdict(list)
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


def _fill_train(groups: list[_Group], assigned: dict[str, str], held: _Held = _NOTHING_HELD) -> None:
    """Give train an image of each class, at the expense of the other splits. Small groups are moved first."""
    present = {class_id for group in groups if assigned[group.name] == "train" for class_id in group.classes}
    present |= held.classes["train"].keys()
    for group in reversed(groups):
        if assigned[group.name] != "train" and group.classes.keys() - present - {_BACKGROUND}:
            assigned[group.name] = "train"
            present |= group.classes.keys()


def _move_one(groups: list[_Group], assigned: dict[str, str], split: str) -> None:
    """Move one group from train to an empty split, if train keeps all its classes without it."""
    train = [group for group in groups if assigned[group.name] == "train"]
    counts = Counter(class_id for group in train for class_id in group.classes)
    # Labelled images first: nothing can be measured on a split of pure background.
    for group in sorted(train, key=lambda group: (_BACKGROUND in group.classes, group.size)):
        if len(train) > 1 and all(counts[class_id] > 1 or class_id == _BACKGROUND for class_id in group.classes):
            assigned[group.name] = split
            return


def _fill_held_out(
    groups: list[_Group], assigned: dict[str, str], splits: list[str], held: _Held = _NOTHING_HELD
) -> None:
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


def _uneven(
    images: list[DatasetImage], splits: dict[str, str], options: SplitOptions, groups: Mapping[str, str]
) -> list[Finding]:
    """Splits that are much smaller than requested, because near-duplicates stay together."""
    if _count_groups(images, groups) == len(splits):
        return []
    requested = {"val": options.val_fraction * len(splits), "test": options.test_fraction * len(splits)}
    counts = Counter(splits.values())
    return [
        Finding.of(
            "split-uneven",
            "",
            f"{counted(counts[split], 'image')} in {split} where {requested[split]:.0f} were requested: near-"
            "duplicates are kept together, and there are large groups of them.",
        )
        for split in HELD_OUT_SPLITS
        if 0 < counts[split] < _UNEVEN * requested[split]
    ]


def _count_groups(images: list[DatasetImage], groups: Mapping[str, str]) -> int:
    return len({groups[image.sha256] for image in images})


def _check(
    images: list[DatasetImage],
    splits: dict[str, str],
    classes: list[str],
    options: SplitOptions,
    groups: Mapping[str, str],
) -> list[Finding]:
    present = {split: Counter[int]() for split in SPLITS}
    counts = Counter(splits.values())
    for image in images:
        present[splits[image.path]].update(image.class_ids)
    findings = list(_not_in_train(present["train"].keys(), classes))
    findings += _missing_classes(present, counts, classes)
    if not counts["val"]:
        together = _count_groups(images, groups)
        kept = f": near-duplicates are kept together, and {len(images)} images form {counted(together, 'group')}"
        detail = "No image can be moved to the validation split without removing a class from train"
        detail += f"{kept if together < len(images) else ''}."
        findings.append(Finding.of("split-without-val", "", detail))
    elif not present["val"]:
        detail = "No image of the validation split has a box, so nothing can be measured on it."
        findings.append(Finding.of("split-val-unlabelled", "", detail))
    if not counts["test"] and options.test_fraction > 0:
        detail = "There is no test split; the model is measured on the validation split only."
        findings.append(Finding.of("split-without-test", "", detail))
    return findings


def _not_in_train(present: Set[int], classes: list[str]) -> Iterator[Finding]:
    trained = {classes[class_id].casefold(): classes[class_id] for class_id in sorted(present)}
    for class_id, name in enumerate(classes):
        if class_id in present:
            continue
        detail = f"{name!r} has no image in train."
        if similar := trained.get(name.casefold()):
            detail += f" {similar!r} has: the two names differ only in upper and lower case; write them the same way."
        yield Finding.of("class-not-in-train", "", detail)


def _missing_classes(
    present: Mapping[str, Mapping[int, int]], counts: Mapping[str, int], classes: list[str]
) -> Iterator[Finding]:
    """`present`: split -> class -> number of images with it. A class without an image in val or test is not measured
    there. A split without images, and a val without labels, have findings of their own.
    """
    for split in HELD_OUT_SPLITS:
        if not present[split]:
            if split == "test" and counts[split]:
                detail = "No image of the test split has a box, so no class is measured there."
                yield Finding.of("class-not-in-split", "", detail)
            continue
        for class_id, name in enumerate(classes):
            trained = present["train"].get(class_id)
            if trained and class_id not in present[split]:
                detail = f"{name!r} has no image in {split}, and {trained} in train, so it is not measured in {split}."
                yield Finding.of("class-not-in-split", "", detail)
