"""Train, val and test: deterministic, keyed by content, stratified by class; images that look alike go together.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) of groups: the class with the fewest unassigned images
first, each group to the split that still wants most of that class, large groups before small ones. The order of equals
is a hash of the seed and of the group's images, so file names and the order of the archive play no part.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import HELD_OUT_SPLITS, SPLITS, DatasetImage
from pipeline.dataset.split_leakage import leaks

SPLIT_RULE = 2  # in the fingerprint: grows whenever the same images would fall otherwise
_BACKGROUND = -1  # the class of images without boxes
_MAX_CUT = 0.5  # a validation part cut from a given train never takes more of it
_UNEVEN = 0.5  # of what was asked: a part smaller than this is told


class SplitOptions(Protocol):
    """Of PrepareOptions, what decides a split."""

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
    """Images that go together. `name`: of the group; `classes`: class -> images with it; `size`: all images."""

    name: str
    key: bytes
    classes: Mapping[int, int]
    size: int


def assign_splits(
    images: list[DatasetImage], classes: list[str], options: SplitOptions, groups: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[Finding]]:
    """Image path -> split. A class without an image in train is an error among the findings.

    `groups`: sha256 of each image -> name of the group that stays together (near_duplicates.group_alike); without
    it only images of the same bytes do.
    """
    groups = groups if groups is not None else {image.sha256: image.sha256 for image in images}
    if keeps_given(images, options.split):
        given = {image.path: image.given_split for image in images if image.given_split}
        splits, findings = _keep(images, given, options, groups)
    else:
        findings = _unusable(images) if options.split == "keep" else []
        splits = _remake(images, options, groups)
        findings += _uneven(images, splits, options, groups)
    return splits, findings + _judge(images, splits, classes, options, groups)


def keeps_given(images: list[DatasetImage], split: str) -> bool:
    """Whether the split of the archive is kept: `split` is keep, and it has a train part beside another."""
    parts = _given_parts(images)
    return split == "keep" and "train" in parts and len(parts) > 1


def _given_parts(images: list[DatasetImage]) -> set[str]:
    return {image.given_split for image in images if image.given_split}


def _unusable(images: list[DatasetImage]) -> list[Finding]:
    """A warning, where a split is given at all."""
    parts = _given_parts(images)
    if not parts:
        return []
    if parts == {"train"}:
        detail = "The archive gives only a train part of a split; a new split of all images is made."
    else:
        shown = " and ".join(split for split in SPLITS if split in parts)
        detail = f"The archive gives only {shown} of a split and no train part; a new split of all images is made."
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
    homes = _stratify(gathered, shares)
    _fill_train(gathered, homes)
    for split in HELD_OUT_SPLITS:
        if fractions[split] > 0 and split not in homes.values():
            _give_one(gathered, homes, split)
    if any(image.label is not None for image in images):
        _fill_held_out(gathered, homes, [split for split in HELD_OUT_SPLITS if fractions[split] > 0])
    return {image.path: homes[groups[image.sha256]] for image in images}


def _gather(images: list[DatasetImage], seed: int, groups: Mapping[str, str]) -> list[_Group]:
    """Large groups first: they find room while there is room."""
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


def _stratify(groups: list[_Group], shares: dict[str, float]) -> dict[str, str]:
    members: dict[int, list[_Group]] = defaultdict(list)
    for group in groups:
        for class_id in group.classes:
            members[class_id].append(group)
    left = {class_id: sum(group.classes[class_id] for group in found) for class_id, found in members.items()}
    wants = {split: {class_id: share * count for class_id, count in left.items()} for split, share in shares.items()}
    room = {split: share * sum(group.size for group in groups) for split, share in shares.items()}
    homes: dict[str, str] = {}
    while left:
        rarest = min(left, key=lambda class_id: (left[class_id], class_id))
        for group in members[rarest]:
            if group.name in homes:
                continue
            # Ties go to the emptier split, then to train: the order of SPLITS.
            home = max(SPLITS, key=lambda split: (wants[split][rarest], room[split]))
            homes[group.name] = home
            room[home] -= group.size
            for class_id, count in group.classes.items():
                wants[home][class_id] -= count
                if class_id in left:
                    left[class_id] -= count
        del left[rarest]
    return homes


def _fill_train(groups: list[_Group], homes: dict[str, str]) -> None:
    """Each class has an image in train, whatever that costs the other splits. Small groups are moved first."""
    present = {class_id for group in groups if homes[group.name] == "train" for class_id in group.classes}
    for group in reversed(groups):
        if homes[group.name] != "train" and group.classes.keys() - present - {_BACKGROUND}:
            homes[group.name] = "train"
            present |= group.classes.keys()


def _give_one(groups: list[_Group], homes: dict[str, str], split: str) -> None:
    """Move one group from train into an empty split, if train keeps all its classes without it."""
    train = [group for group in groups if homes[group.name] == "train"]
    counts = Counter(class_id for group in train for class_id in group.classes)
    # Labelled images first: a validation part of pure background measures nothing.
    for group in sorted(train, key=lambda group: (_BACKGROUND in group.classes, group.size)):
        if len(train) > 1 and all(counts[class_id] > 1 or class_id == _BACKGROUND for class_id in group.classes):
            homes[group.name] = split
            return


def _fill_held_out(groups: list[_Group], homes: dict[str, str], splits: list[str]) -> None:
    """Of folders of classes each class has an image in each of `splits`, if train keeps one too.

    Not for boxes: an image has several classes there, and moving it for one of them moves the others along.
    """
    train = Counter(class_id for group in groups if homes[group.name] == "train" for class_id in group.classes)
    for split in splits:
        present = {class_id for group in groups if homes[group.name] == split for class_id in group.classes}
        for group in reversed(groups):  # small ones first
            wanted = group.classes.keys() - present
            if wanted and homes[group.name] == "train" and all(train[class_id] > 1 for class_id in group.classes):
                homes[group.name] = split
                present |= group.classes.keys()
                train.subtract(group.classes.keys())


def _uneven(
    images: list[DatasetImage], splits: dict[str, str], options: SplitOptions, groups: Mapping[str, str]
) -> list[Finding]:
    """Parts that are much smaller than asked for, because what looks alike stays together."""
    if _apart(images, groups) == len(splits):
        return []
    asked = {"val": options.val_fraction * len(splits), "test": options.test_fraction * len(splits)}
    counts = Counter(splits.values())
    return [
        Finding.of(
            "split-uneven",
            "",
            f"{counted(counts[split], 'image')} in {split} where {asked[split]:.0f} were requested: near-duplicates "
            "are kept together, and there are large groups of them.",
        )
        for split in HELD_OUT_SPLITS
        if 0 < counts[split] < _UNEVEN * asked[split]
    ]


def _apart(images: list[DatasetImage], groups: Mapping[str, str]) -> int:
    """How many groups there are."""
    return len({groups[image.sha256] for image in images})


def _judge(
    images: list[DatasetImage],
    splits: dict[str, str],
    classes: list[str],
    options: SplitOptions,
    groups: Mapping[str, str],
) -> list[Finding]:
    present = {split: set[int]() for split in SPLITS}
    counts = Counter(splits.values())
    for image in images:
        present[splits[image.path]].update(image.class_ids)
    findings = [
        Finding.of("class-not-in-train", "", f"{name!r} has no image in train.")
        for class_id, name in enumerate(classes)
        if class_id not in present["train"]
    ]
    if images[0].label is not None:
        findings += _missing_classes(present, counts, classes)
    if not counts["val"]:
        together = _apart(images, groups)
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


def _missing_classes(
    present: Mapping[str, set[int]], counts: Mapping[str, int], classes: list[str]
) -> Iterator[Finding]:
    """A class that is not in a held-out part is not measured there. A part without any image has its own finding."""
    for split in HELD_OUT_SPLITS:
        for class_id, name in enumerate(classes):
            if counts[split] and class_id in present["train"] and class_id not in present[split]:
                detail = f"{name!r} has no image in {split}, so it is not measured there."
                yield Finding.of("class-not-in-split", "", detail)
