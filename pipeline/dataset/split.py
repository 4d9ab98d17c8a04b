"""Train, val and test splits: deterministic, keyed by content, stratified by class; near-duplicates stay together.

How: stratify.py.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Protocol

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import HELD_OUT_SPLITS, SPLITS, DatasetImage
from pipeline.dataset.split_leakage import leaks
from pipeline.dataset.split_sequence import by_sequence, sequence_leak
from pipeline.dataset.stratify import Held, fill_held_out, fill_train, gather, move_one, stratify

SPLIT_RULE = 2  # part of the fingerprint: incremented whenever the same images would be split differently
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
    gathered = gather(images, seed, groups)
    fixed = Held.of(held)
    assigned = stratify(gathered, shares, fixed)
    fill_train(gathered, assigned, fixed)
    if any(image.label is not None for image in images):
        wanted = [split for split in HELD_OUT_SPLITS if shares.get(split, 0) > 0]
        fill_held_out(gathered, assigned, wanted, fixed)
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
    gathered = gather(images, seed, groups)
    shares = {"train": 1.0 - sum(fractions.values()), **fractions}
    assigned = stratify(gathered, shares)
    fill_train(gathered, assigned)
    for split in HELD_OUT_SPLITS:
        if fractions[split] > 0 and split not in assigned.values():
            move_one(gathered, assigned, split)
    if any(image.label is not None for image in images):
        fill_held_out(gathered, assigned, [split for split in HELD_OUT_SPLITS if fractions[split] > 0])
    return {image.path: assigned[groups[image.sha256]] for image in images}


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
