"""The split: seeded, keyed by content, stratified, with identical images together."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Box, DatasetImage
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
