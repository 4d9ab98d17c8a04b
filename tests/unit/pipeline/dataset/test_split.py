"""The split: seeded, keyed by content, stratified, with identical pictures together."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Box, Picture
from pipeline.dataset.split import assign_splits, keeps_given
from pipeline.params.prepare import PrepareOptions

CLASSES = ["a", "b", "c"]


def _picture(path: str, content: str, classes: tuple[int, ...], given: str | None = None) -> Picture:
    boxes = tuple(Box(class_id, 0, 0, 10_000, 10_000, False) for class_id in classes)
    return Picture(path, SourceFile(path, "", 0, content), 100, 100, "JPEG", None, boxes, given)


def _set(count: int = 100) -> list[Picture]:
    """Every picture has class 0, a third class 1, a tenth class 2."""
    return [
        _picture(f"{n}.jpg", f"sha{n}", tuple(c for c, every in enumerate((1, 3, 10)) if n % every == 0))
        for n in range(count)
    ]


def _split(pictures: list[Picture], **options: object) -> dict[str, str]:
    splits, _ = assign_splits(pictures, CLASSES, PrepareOptions.model_validate(options))
    return splits


def test_every_class_gets_its_share_of_every_split() -> None:
    pictures = _set()
    splits = _split(pictures)
    assert Counter(splits.values()) == {"train": 70, "val": 20, "test": 10}
    rare = Counter(splits[p.path] for p in pictures if any(box.class_id == 2 for box in p.boxes))
    assert rare == {"train": 7, "val": 2, "test": 1}


def test_names_and_order_play_no_part_and_the_seed_does() -> None:
    pictures = _set()
    by_content = {picture.sha256: _split(pictures)[picture.path] for picture in pictures}
    renamed = [_picture(f"x/{p.path}", p.sha256, tuple(b.class_id for b in p.boxes)) for p in reversed(pictures)]
    splits = _split(renamed)
    assert {picture.sha256: splits[picture.path] for picture in renamed} == by_content
    assert _split(pictures, seed=1) != _split(pictures)


@given(st.lists(st.tuples(st.integers(0, 15), st.sets(st.integers(0, 2))), min_size=3, max_size=40), st.integers(0, 9))
def test_identical_pictures_stay_together_and_train_has_every_class(
    rows: list[tuple[int, set[int]]], seed: int
) -> None:
    pictures = [_picture(f"{n}", f"sha{content}", tuple(sorted(c))) for n, (content, c) in enumerate(rows)]
    splits, findings = assign_splits(pictures, CLASSES, PrepareOptions(seed=seed))
    homes: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        homes[picture.sha256].add(splits[picture.path])
    assert all(len(found) == 1 for found in homes.values())
    used = {box.class_id for picture in pictures for box in picture.boxes}
    trained = {box.class_id for picture in pictures if splits[picture.path] == "train" for box in picture.boxes}
    assert used == trained
    if "val" not in splits.values():
        assert "split-without-val" in {finding.code for finding in findings}


@pytest.mark.parametrize("count", [3, 4, 5, 10])
def test_val_and_test_get_at_least_one_picture(count: int) -> None:
    pictures = [_picture(f"{n}", f"sha{n}", (0,)) for n in range(count)]
    assert set(_split(pictures).values()) == {"train", "val", "test"}


def test_a_given_split_is_kept_and_a_missing_val_is_cut_from_train() -> None:
    pictures = [_picture(f"{n}", f"sha{n}", (0,), "test" if n < 2 else "train") for n in range(18)]
    splits, findings = assign_splits(pictures, ["a"], PrepareOptions())
    assert {path for path, split in splits.items() if split == "test"} == {"0", "1"}
    assert Counter(splits.values())["val"] in (3, 4)
    assert [finding.code for finding in findings] == ["split-val-cut"]
    remade, _ = assign_splits(pictures, ["a"], PrepareOptions(split="remake"))
    assert remade != splits


def test_nothing_is_told_of_a_cut_that_cut_nothing() -> None:
    pictures = [_picture("0", "0", (0,), "train"), _picture("1", "1", (0,), "test"), _picture("2", "2", (0,), "test")]
    _, findings = assign_splits(pictures, ["a"], PrepareOptions())
    assert [finding.code for finding in findings] == ["split-without-val"]


@pytest.mark.parametrize(
    ("parts", "option", "kept", "text"),
    [
        (("train", "test"), "keep", True, None),
        (("train", "test"), "remake", False, None),
        (("train",), "keep", False, "has only a train part"),
        (("val", "test"), "keep", False, "has only val and test, and no train part"),
        ((None,), "keep", False, None),
    ],
)
def test_a_split_is_a_given_one_where_it_is_kept(
    parts: tuple[str | None, ...], option: str, kept: bool, text: str | None
) -> None:
    pictures = [_picture(f"{n}", f"sha{n}", (0,), parts[n % len(parts)]) for n in range(18)]
    _, findings = assign_splits(pictures, ["a"], PrepareOptions.model_validate({"split": option}))
    assert keeps_given(pictures, option) is kept
    told = [finding.detail for finding in findings if finding.code == "split-unusable"]
    assert len(told) == (text is not None) and all(str(text) in detail for detail in told)


def test_a_given_split_that_leaks_is_kept_and_told() -> None:
    rows = [("0", "same", "train"), ("1", "same", "val"), ("2", "other", "train")]
    pictures = [_picture(path, sha, (0,), given) for path, sha, given in rows]
    splits, findings = assign_splits(pictures, ["a"], PrepareOptions(test_fraction=0))
    assert splits == {"0": "train", "1": "val", "2": "train"}
    assert [finding.code for finding in findings] == ["split-leak"]


def test_a_class_that_a_given_split_keeps_from_train_is_an_error() -> None:
    pictures = [_picture("0", "0", (0,), "train"), _picture("1", "1", (1,), "val"), _picture("2", "2", (0,), "val")]
    _, findings = assign_splits(pictures, ["a", "b"], PrepareOptions(test_fraction=0))
    assert [(finding.code, finding.severity) for finding in findings] == [("class-not-in-train", "error")]
