"""The split: seeded, keyed by content, stratified, with identical images together."""

import random
import time
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.source import SourceFile
from pipeline.dataset import split
from pipeline.dataset.model import SPLITS, Box, DatasetImage
from pipeline.dataset.split import assign_splits, keeps_given
from pipeline.params.prepare import PrepareOptions

CLASSES = ["a", "b", "c"]


def _image(path: str, content: str, classes: tuple[int, ...], given: str | None = None) -> DatasetImage:
    boxes = tuple(Box(class_id, 0, 0, 10_000, 10_000, False) for class_id in classes)
    return DatasetImage(path, SourceFile(path, "", 0, content), 100, 100, "JPEG", None, boxes, given)


def _set(count: int = 100) -> list[DatasetImage]:
    """Every image has class 0, a third class 1, a tenth class 2."""
    return [
        _image(f"{n}.jpg", f"sha{n}", tuple(c for c, every in enumerate((1, 3, 10)) if n % every == 0))
        for n in range(count)
    ]


def _split(images: list[DatasetImage], **options: object) -> dict[str, str]:
    splits, _ = assign_splits(images, CLASSES, PrepareOptions.model_validate(options))
    return splits


def test_every_class_gets_its_share_of_every_split() -> None:
    images = _set()
    splits = _split(images)
    assert Counter(splits.values()) == {"train": 70, "val": 20, "test": 10}
    rare = Counter(splits[p.path] for p in images if any(box.class_id == 2 for box in p.boxes))
    assert rare == {"train": 7, "val": 2, "test": 1}


def test_the_split_depends_on_the_seed_and_not_on_names_or_order() -> None:
    images = _set()
    by_content = {image.sha256: _split(images)[image.path] for image in images}
    renamed = [_image(f"x/{p.path}", p.sha256, tuple(b.class_id for b in p.boxes)) for p in reversed(images)]
    splits = _split(renamed)
    assert {image.sha256: splits[image.path] for image in renamed} == by_content
    assert _split(images, seed=1) != _split(images)


@given(st.lists(st.tuples(st.integers(0, 15), st.sets(st.integers(0, 2))), min_size=3, max_size=40), st.integers(0, 9))
def test_identical_images_stay_together_and_train_has_every_class(rows: list[tuple[int, set[int]]], seed: int) -> None:
    images = [_image(f"{n}", f"sha{content}", tuple(sorted(c))) for n, (content, c) in enumerate(rows)]
    splits, findings = assign_splits(images, CLASSES, PrepareOptions(seed=seed))
    homes: dict[str, set[str]] = defaultdict(set)
    for image in images:
        homes[image.sha256].add(splits[image.path])
    assert all(len(found) == 1 for found in homes.values())
    used = {box.class_id for image in images for box in image.boxes}
    trained = {box.class_id for image in images if splits[image.path] == "train" for box in image.boxes}
    assert used == trained
    if "val" not in splits.values():
        assert "split-without-val" in {finding.code for finding in findings}


@pytest.mark.parametrize("count", [3, 4, 5, 10])
def test_val_and_test_get_at_least_one_image(count: int) -> None:
    images = [_image(f"{n}", f"sha{n}", (0,)) for n in range(count)]
    assert set(_split(images).values()) == {"train", "val", "test"}


def test_a_given_split_is_kept_and_a_missing_val_is_taken_from_train() -> None:
    images = [_image(f"{n}", f"sha{n}", (0,), "test" if n < 2 else "train") for n in range(18)]
    splits, findings = assign_splits(images, ["a"], PrepareOptions())
    assert {path for path, split in splits.items() if split == "test"} == {"0", "1"}
    assert Counter(splits.values())["val"] in (3, 4)
    assert [finding.code for finding in findings] == ["split-val-from-train"]
    remade, _ = assign_splits(images, ["a"], PrepareOptions(split="remake"))
    assert remade != splits


def test_there_is_no_note_if_no_image_was_taken_from_train() -> None:
    images = [_image("0", "0", (0,), "train"), _image("1", "1", (0,), "test"), _image("2", "2", (0,), "test")]
    _, findings = assign_splits(images, ["a"], PrepareOptions())
    assert [finding.code for finding in findings] == ["split-without-val"]


@pytest.mark.parametrize(
    ("parts", "option", "kept", "text"),
    [
        (("train", "test"), "keep", True, None),
        (("train", "test"), "remake", False, None),
        (("train",), "keep", False, "gives only a train part"),
        (("val", "test"), "keep", False, "gives only val and test of a split and no train part"),
        ((None,), "keep", False, None),
    ],
)
def test_a_given_split_is_kept_or_a_warning_says_why_not(
    parts: tuple[str | None, ...], option: str, kept: bool, text: str | None
) -> None:
    images = [_image(f"{n}", f"sha{n}", (0,), parts[n % len(parts)]) for n in range(18)]
    _, findings = assign_splits(images, ["a"], PrepareOptions.model_validate({"split": option}))
    assert keeps_given(images, option) is kept
    details = [finding.detail for finding in findings if finding.code == "split-unusable"]
    assert len(details) == (text is not None) and all(str(text) in detail for detail in details)


def test_a_given_split_that_leaks_is_kept_with_a_warning() -> None:
    rows = [("0", "same", "train"), ("1", "same", "val"), ("2", "other", "train")]
    images = [_image(path, sha, (0,), given) for path, sha, given in rows]
    splits, findings = assign_splits(images, ["a"], PrepareOptions(test_fraction=0))
    assert splits == {"0": "train", "1": "val", "2": "train"}
    assert [finding.code for finding in findings] == ["split-leak"]


def test_a_class_missing_from_a_given_train_split_is_an_error() -> None:
    images = [_image("0", "0", (0,), "train"), _image("1", "1", (1,), "val"), _image("2", "2", (0,), "val")]
    _, findings = assign_splits(images, ["a", "b"], PrepareOptions(test_fraction=0))
    assert [(finding.code, finding.severity) for finding in findings] == [("class-not-in-train", "error")]
    assert "upper and lower case" not in findings[0].detail


def test_a_class_missing_from_train_is_compared_without_upper_and_lower_case() -> None:
    images = [_image("0", "0", (0,), "train"), _image("1", "1", (1,), "val"), _image("2", "2", (0,), "val")]
    _, findings = assign_splits(images, ["Cat", "cat"], PrepareOptions(test_fraction=0))
    detail = next(finding.detail for finding in findings if finding.code == "class-not-in-train")
    assert "'cat' has no image in train" in detail and "'Cat' has" in detail and "upper and lower case" in detail


def test_a_class_of_boxes_that_a_held_out_split_lacks_is_a_warning_with_its_images_in_train() -> None:
    rows = [((0, 1, 1), "train"), ((0, 1), "train"), ((2,), "train"), ((0, 2), "val"), ((), "val"), ((1,), "test")]
    images = [_image(f"{n}", f"{n}", classes, given) for n, (classes, given) in enumerate(rows)]
    _, findings = assign_splits(images, CLASSES, PrepareOptions())
    assert {(each.code, each.severity) for each in findings} == {("class-not-in-split", "warning")}
    assert [each.detail for each in findings] == [
        "'b' has no image in val, and 2 in train, so it is not measured in val.",
        "'a' has no image in test, and 2 in train, so it is not measured in test.",
        "'c' has no image in test, and 1 in train, so it is not measured in test.",
    ]


@pytest.mark.parametrize(("split", "code"), [("val", "split-val-unlabelled"), ("test", "class-not-in-split")])
def test_a_held_out_split_without_any_box_has_one_finding_for_all_classes(split: str, code: str) -> None:
    other = "test" if split == "val" else "val"
    rows = [((0, 1, 2), "train"), ((0, 1, 2), other), ((), split)]
    images = [_image(f"{n}", f"{n}", classes, given) for n, (classes, given) in enumerate(rows)]
    _, findings = assign_splits(images, CLASSES, PrepareOptions())
    assert [each.code for each in findings] == [code]


@pytest.mark.parametrize("count", range(3, 13))
def test_val_gets_a_box_of_each_class_that_enough_images_have_alone(count: int) -> None:
    images = [_image(f"{c}-{n}", f"{c}-{n}", (c,)) for c in range(3) for n in range(count)]
    splits, findings = assign_splits(images, CLASSES, PrepareOptions())
    assert {path[0] for path, split in splits.items() if split == "val"} == {"0", "1", "2"}
    assert not [each for each in findings if "in val" in each.detail]


def _stratify_by_search(groups: list[Any], shares: dict[str, float]) -> dict[str, str]:
    """As all splits so far were made: the rarest class is searched for among all classes each time."""
    members: dict[int, list[Any]] = defaultdict(list)
    for group in groups:
        for class_id in group.classes:
            members[class_id].append(group)
    left = {class_id: sum(group.classes[class_id] for group in found) for class_id, found in members.items()}
    wants = {split: {class_id: share * count for class_id, count in left.items()} for split, share in shares.items()}
    room = {split: share * sum(group.size for group in groups) for split, share in shares.items()}
    assigned: dict[str, str] = {}
    while left:
        rarest = min(left, key=lambda class_id: (left[class_id], class_id))
        for group in members[rarest]:
            if group.name in assigned:
                continue
            home = max(SPLITS, key=lambda name: (wants[name][rarest], room[name]))
            assigned[group.name] = home
            room[home] -= group.size
            for class_id, count in group.classes.items():
                wants[home][class_id] -= count
                if class_id in left:
                    left[class_id] -= count
        del left[rarest]
    return assigned


def _random_set(chance: random.Random) -> list[DatasetImage]:
    classes, contents = chance.choice((2, 5, 20, 200)), chance.choice((3, 30, 300))
    weights = [1 / (1 + class_id) ** chance.choice((0, 1, 2)) for class_id in range(classes)]

    def classes_of_one() -> tuple[int, ...]:
        return tuple(sorted(set(chance.choices(range(classes), weights, k=chance.randrange(min(classes, 9))))))

    return [_image(f"{n}.jpg", f"sha{chance.randrange(contents)}", classes_of_one()) for n in range(contents)]


def test_the_heap_gives_the_splits_of_a_search_among_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The split is part of the fingerprint: not one of 300 random sets may be split differently."""
    chance = random.Random(0)
    sets = [_random_set(chance) for _ in range(300)]
    fractions = [chance.choice(((0.2, 0.1), (0.5, 0.0), (0.1, 0.3))) for _ in sets]
    options = [PrepareOptions(seed=n, val_fraction=val, test_fraction=test) for n, (val, test) in enumerate(fractions)]
    names = [str(number) for number in range(200)]
    by_heap = [assign_splits(images, names, each) for images, each in zip(sets, options, strict=True)]
    monkeypatch.setattr(split, "stratify", _stratify_by_search)
    assert by_heap == [assign_splits(images, names, each) for images, each in zip(sets, options, strict=True)]


def test_fifty_thousand_classes_are_split_in_seconds() -> None:
    images = [_image(f"{n}.jpg", f"sha{n}", tuple(range(n * 1000, (n + 1) * 1000))) for n in range(50)]
    started = time.monotonic()
    splits, _ = assign_splits(images, [str(number) for number in range(50_000)], PrepareOptions())
    assert time.monotonic() - started < 10  # 60 s with a search among all classes
    assert set(splits.values()) == {"train"}  # each class is in one image
