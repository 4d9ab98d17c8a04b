"""Train, val and test: deterministic, keyed by content, stratified by class, identical pictures together.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011): the class with the fewest unassigned pictures first,
each picture to the split that still wants most of that class. The order within a class is a hash of the seed and the
picture's bytes, so file names and the order of the archive play no part.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from core.domain.findings import Finding, Severity
from pipeline.dataset import SPLITS, Picture
from pipeline.params.prepare import PrepareOptions

SPLIT_RULE = 1  # in the fingerprint: grows whenever the same pictures would fall otherwise
_BACKGROUND = -1  # the class of pictures without boxes
_MAX_CUT = 0.5  # a validation part cut from a given train never takes more of it


@dataclass(frozen=True, slots=True)
class _Group:
    """Pictures of the same bytes: they go together. `size` is how many."""

    sha256: str
    key: bytes
    classes: frozenset[int]
    size: int


def assign_splits(
    pictures: list[Picture], classes: list[str], options: PrepareOptions
) -> tuple[dict[str, str], list[Finding]]:
    """Picture path -> split. A class without a picture in train is an error among the findings."""
    given = {picture.path: picture.given_split for picture in pictures if picture.given_split}
    findings: list[Finding] = []
    if options.split == "keep" and given:
        if "train" in given.values() and len(set(given.values())) > 1:
            splits, findings = _keep(pictures, given, options)
        else:
            findings = [
                _finding("split-unusable", "The given split has no train part beside another; a new one is made.")
            ]
            splits = _remake(pictures, options)
    else:
        splits = _remake(pictures, options)
    return splits, findings + _judge(pictures, splits, classes, options)


def _keep(
    pictures: list[Picture], given: dict[str, str], options: PrepareOptions
) -> tuple[dict[str, str], list[Finding]]:
    findings = _leaks(pictures, given)
    splits = {picture.path: given.get(picture.path, "train") for picture in pictures}
    if len(given) < len(pictures):
        detail = f"{len(pictures) - len(given)} pictures are in no part of the given split; they go to train."
        findings.append(_finding("split-partial", detail))
    if "val" not in given.values():
        train = [picture for picture in pictures if splits[picture.path] == "train"]
        fraction = min(options.val_fraction * len(pictures) / len(train), _MAX_CUT)
        splits |= _by_content(train, {"val": fraction, "test": 0.0}, options.seed)
        count = sum(split == "val" for split in splits.values())
        detail = f"The archive gives no validation part: {count} pictures were cut from train."
        findings.append(_finding("split-val-cut", detail, severity=Severity.NOTE))
    return splits, findings


def _leaks(pictures: list[Picture], given: dict[str, str]) -> list[Finding]:
    homes: dict[str, dict[str, str]] = defaultdict(dict)
    for picture in pictures:
        if picture.path in given:
            homes[picture.sha256].setdefault(given[picture.path], picture.name)
    return [
        _finding(
            "split-leak",
            "The same picture is in "
            + " and ".join(f"{split} ({name})" for split, name in sorted(places.items()))
            + ".",
            path=min(places.values()),
            remedy="Keep it in one part; or let the split be made anew (split=remake).",
        )
        for places in homes.values()
        if len(places) > 1
    ]


def _remake(pictures: list[Picture], options: PrepareOptions) -> dict[str, str]:
    fractions = {"val": options.val_fraction, "test": options.test_fraction}
    return _by_content(pictures, fractions, options.seed)


def _by_content(pictures: list[Picture], fractions: dict[str, float], seed: int) -> dict[str, str]:
    groups = _group(pictures, seed)
    shares = {"train": 1.0 - sum(fractions.values()), **fractions}
    homes = _stratify(groups, shares)
    _fill_train(groups, homes)
    for split in ("val", "test"):
        if fractions[split] > 0 and split not in homes.values():
            _give_one(groups, homes, split)
    return {picture.path: homes[picture.sha256] for picture in pictures}


def _group(pictures: list[Picture], seed: int) -> list[_Group]:
    classes: dict[str, set[int]] = defaultdict(set)
    sizes: Counter[str] = Counter()
    for picture in pictures:
        classes[picture.sha256].update(box.class_id for box in picture.boxes)
        sizes[picture.sha256] += 1
    groups = [
        _Group(sha, hashlib.sha256(f"{seed}:{sha}".encode()).digest(), frozenset(found or {_BACKGROUND}), sizes[sha])
        for sha, found in classes.items()
    ]
    return sorted(groups, key=lambda group: group.key)


def _stratify(groups: list[_Group], shares: dict[str, float]) -> dict[str, str]:
    members: dict[int, list[_Group]] = defaultdict(list)
    for group in groups:
        for class_id in group.classes:
            members[class_id].append(group)
    wants = {split: {c: share * sum(g.size for g in members[c]) for c in members} for split, share in shares.items()}
    room = {split: share * sum(group.size for group in groups) for split, share in shares.items()}
    left = {class_id: len(found) for class_id, found in members.items()}
    homes: dict[str, str] = {}
    while left:
        rarest = min(left, key=lambda class_id: (left[class_id], class_id))
        for group in members[rarest]:
            if group.sha256 in homes:
                continue
            # Ties go to the emptier split, then to train: the order of SPLITS.
            home = max(SPLITS, key=lambda split: (wants[split][rarest], room[split]))
            homes[group.sha256] = home
            room[home] -= group.size
            for class_id in group.classes:
                wants[home][class_id] -= group.size
                if class_id in left:
                    left[class_id] -= 1
        del left[rarest]
    return homes


def _fill_train(groups: list[_Group], homes: dict[str, str]) -> None:
    """Each class has a picture in train, whatever that costs the other splits."""
    present = {class_id for group in groups if homes[group.sha256] == "train" for class_id in group.classes}
    for group in groups:
        if homes[group.sha256] != "train" and group.classes - present - {_BACKGROUND}:
            homes[group.sha256] = "train"
            present |= group.classes


def _give_one(groups: list[_Group], homes: dict[str, str], split: str) -> None:
    """Move one picture from train into an empty split, if train keeps all its classes without it."""
    train = [group for group in groups if homes[group.sha256] == "train"]
    counts = Counter(class_id for group in train for class_id in group.classes)
    # Labelled pictures first: a validation part of pure background measures nothing.
    for group in sorted(train, key=lambda group: (_BACKGROUND in group.classes, group.size)):
        if len(train) > 1 and all(counts[class_id] > 1 or class_id == _BACKGROUND for class_id in group.classes):
            homes[group.sha256] = split
            return


def _judge(
    pictures: list[Picture], splits: dict[str, str], classes: list[str], options: PrepareOptions
) -> list[Finding]:
    present = {split: set[int]() for split in SPLITS}
    counts = Counter(splits.values())
    for picture in pictures:
        present[splits[picture.path]].update(box.class_id for box in picture.boxes)
    findings = [
        _finding("class-not-in-train", f"{name!r} has no picture in train.", severity=Severity.ERROR)
        for class_id, name in enumerate(classes)
        if class_id not in present["train"]
    ]
    if not counts["val"]:
        detail = "No picture is left for validation without taking a class from train."
        findings.append(_finding("split-without-val", detail, severity=Severity.ERROR, remedy="Add pictures."))
    elif not present["val"]:
        findings.append(
            _finding("split-val-unlabelled", "The validation part has no box: nothing can be measured on it.")
        )
    if not counts["test"] and options.test_fraction > 0:
        detail = "There is no test part; the model is measured on the validation part alone."
        findings.append(_finding("split-without-test", detail))
    return findings


def _finding(
    code: str,
    detail: str,
    *,
    path: str = "",
    severity: Severity = Severity.WARNING,
    remedy: str = "Mend the split, or let it be made anew (split=remake).",
) -> Finding:
    return Finding(code, severity, path, detail, remedy)
