"""Which folders are classes, which are splits, and which are neither, by the folder tree."""

import time

import pytest

from pipeline.dataset.class_order import natural_order
from pipeline.formats.class_folders import assign_folders, empty_class_folders, may_be_repeated, repeated_folders

# Number of images by folder (`folder: images`), and the expected class and split of each folder.
TABLE: dict[str, tuple[str, str]] = {
    "plain": ("cat:9, dog:9", "cat:cat/-, dog:dog/-"),
    "spaces and digits": ("10:9, 9:9, a b:9", "10:10/-, 9:9/-, a b:a b/-"),
    "wrapped": ("x/y z/cat:9, x/y z/dog:9", "x/y z/cat:cat/-, x/y z/dog:dog/-"),
    "a split": (
        "s/train/cat:9, s/train/dog:9, s/test/cat:2, s/test/dog:2",
        "s/train/cat:cat/train, s/train/dog:dog/train, s/test/cat:cat/test, s/test/dog:dog/test",
    ),
    "a split with wrappers in it": (
        "train/data/cat:9, train/data/dog:9, valid/data/cat:2, valid/data/dog:2",
        "train/data/cat:cat/train, train/data/dog:dog/train, valid/data/cat:cat/val, valid/data/dog:dog/val",
    ),
    "a split inside": (
        "cat/train:9, cat/val:2, dog/train:9, dog/val:2",
        "cat/train:cat/train, cat/val:cat/val, dog/train:dog/train, dog/val:dog/val",
    ),
    "inside, one part": ("cat/train:9, dog/train:9", "cat/train:cat/train, dog/train:dog/train"),
    "a class called test": ("cat:9, dog:9, test:9", "cat:cat/-, dog:dog/-, test:test/-"),
    "classes called test and train": ("bus:9, test:9, train:9", "bus:bus/-, test:test/-, train:train/-"),
    "a class called test with a folder in it": (
        "cat:9, dog:9, test:9, test/old:2",
        "cat:cat/-, dog:dog/-, test:test/-, test/old:test/-",
    ),
    "a class called test in a split": (
        "train/cat:9, train/test:9, test/cat:2, test/test:2",
        "train/cat:cat/train, train/test:test/train, test/cat:cat/test, test/test:test/test",
    ),
    "only classes called like splits, in a split": (
        "train/train:9, train/test:9, val/train:2, val/test:2",
        "train/train:train/train, train/test:test/train, val/train:train/val, val/test:test/val",
    ),
    "a test part beside the classes": (
        "cat:9, dog:9, test/cat:2, test/dog:2",
        "cat:cat/train, dog:dog/train, test/cat:cat/test, test/dog:dog/test",
    ),
    "a test part without classes": (
        "train/cat:9, train/dog:9, test:50",
        "train/cat:cat/train, train/dog:dog/train, test:-",
    ),
    "a folder beside the parts": (
        "training_set/cat:9, training_set/dog:9, test_set/cat:2, test_set/dog:2, single_prediction:2",
        "training_set/cat:cat/train, training_set/dog:dog/train, test_set/cat:cat/test, test_set/dog:dog/test, "
        "single_prediction:-",
    ),
    "parts in a folder of their own name": (
        "seg_train/seg_train/sea:9, seg_train/seg_train/ice:9, seg_test/seg_test/sea:2, seg_test/seg_test/ice:2, "
        "seg_pred/seg_pred:4",
        "seg_train/seg_train/sea:sea/train, seg_train/seg_train/ice:ice/train, seg_test/seg_test/sea:sea/test, "
        "seg_test/seg_test/ice:ice/test, seg_pred/seg_pred:-",
    ),
    "such parts, of which one has no classes": (
        "train/train/cat:9, train/train/dog:9, test/test:4",
        "train/train/cat:cat/train, train/train/dog:dog/train, test/test:-",
    ),
    "two sets with a split each": (
        "a/train/cat:9, a/test/cat:9, b/train/dog:9, b/test/dog:2",
        "a/train/cat:cat/train, a/test/cat:cat/test, b/train/dog:dog/train, b/test/dog:dog/test",
    ),
    "a stray at the root": (":1, set/cat:9, set/dog:9", ":-, set/cat:cat/-, set/dog:dog/-"),
    "strays at every depth": (
        ":1, set:1, set/cat:9, set/cat/old:1, set/dog:9",
        ":-, set:-, set/cat:cat/-, set/cat/old:cat/-, set/dog:dog/-",
    ),
    "groups of classes": (
        "pets/cat:9, pets/dog:9, birds/owl:9",
        "pets/cat:cat/-, pets/dog:dog/-, birds/owl:owl/-",
    ),
    "groups of classes, and a stray": (
        "pets:1, pets/cat:9, pets/dog:9, birds/owl:9",
        "pets:-, pets/cat:cat/-, pets/dog:dog/-, birds/owl:owl/-",
    ),
    "one class divided": ("cat:9, dog/brown:5, dog/white:4", "cat:cat/-, dog/brown:dog/-, dog/white:dog/-"),
    "folders called images": ("cat/images:9, dog/images:9", "cat/images:cat/-, dog/images:dog/-"),
    "images beside masks": (
        "cat/images:9, cat/masks:9, dog/images:9, dog/masks:9",
        "cat/images:cat/-, cat/masks:cat/-, dog/images:dog/-, dog/masks:dog/-",
    ),
    "images in a split": (
        "train/images/cat:9, train/images/dog:9, test/images/cat:2, test/images/dog:2",
        "train/images/cat:cat/train, train/images/dog:dog/train, test/images/cat:cat/test, test/images/dog:dog/test",
    ),
    "a class called image": ("image:9, table:9, text:9", "image:image/-, table:table/-, text:text/-"),
    "parts in some classes": (
        "cat/train:9, cat/val:2, dog:9",
        "cat/train:cat/train, cat/val:cat/val, dog:dog/-",
    ),
    "a part in one class": ("cat:9, dog:9, dog/test:3", "cat:cat/-, dog:dog/-, dog/test:dog/test"),
    "parts in most classes, groups in another": (
        "cat/train:9, cat/val:2, dog/train:9, dog/val:2, owl/brown:3, owl/white:2",
        "cat/train:cat/train, cat/val:cat/val, dog/train:dog/train, dog/val:dog/val, owl/brown:owl/-, owl/white:owl/-",
    ),
    "an unknown folder beside train": (
        "train/cat:9, train/dog:9, later/cat:3, later/dog:3",
        "train/cat:cat/train, train/dog:dog/train, later/cat:cat/-, later/dog:dog/-",
    ),
    "an unknown folder beside val": (
        "val/cat:3, val/dog:3, more/cat:9, more/dog:9",
        "val/cat:cat/val, val/dog:dog/val, more/cat:cat/-, more/dog:dog/-",
    ),
    "parts in one of two sets": (
        "a/train/cat:9, a/val/cat:2, b/cat:5, b/dog:5",
        "a/train/cat:cat/train, a/val/cat:cat/val, b/cat:cat/-, b/dog:dog/-",
    ),
    "parts with a word more": (
        "seg_train/seg_train/cat:9, seg_train/seg_train/dog:9, seg_test/seg_test/cat:2, seg_test/seg_test/dog:2",
        "seg_train/seg_train/cat:cat/train, seg_train/seg_train/dog:dog/train, seg_test/seg_test/cat:cat/test, "
        "seg_test/seg_test/dog:dog/test",
    ),
    "no classes": ("train:9, test:2", "train:-, test:-"),
    "one folder": ("a/b:9", "a/b:-"),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_folder_gets_its_class_and_split(name: str) -> None:
    there, expected = TABLE[name]
    assignments = assign_folders(_counts(there))
    found = {folder: f"{each.label}/{each.split or '-'}" if each.label else "-" for folder, each in assignments.items()}
    assert found == _entries(expected)


def test_many_folders_named_like_splits_take_no_longer_than_others() -> None:
    """As in a hostile archive: compared pair by pair, these took a minute."""
    counts = {(f"{word}{number}", str(number)): 1 for word in ("train", "test") for number in range(7_000)}
    counts["other",] = 1
    started = time.monotonic()
    assignments = assign_folders(counts)
    assert not may_be_repeated(counts)
    assert time.monotonic() - started < 5
    assert {each.split for folder, each in assignments.items() if folder != ("other",)} == {"train", "test"}


def test_images_below_a_class_folder_are_nested() -> None:
    assignments = assign_folders(_counts("cat:9, cat/old:1, dog:9, dog/images:9"))
    assert {folder for folder, each in assignments.items() if each.nested} == {("cat", "old"), ("dog", "images")}
    assignments = assign_folders(_counts("cat/images:9, dog/images:9"))
    assert not any(each.nested for each in assignments.values())


def test_an_empty_folder_beside_class_folders_is_listed_once() -> None:
    assignments = assign_folders(_counts("s/train/cat:9, s/train/dog:9, s/test/cat:9, s/test/dog:9"))
    others = ["s/train/owl", "s/test/owl/notes", "s/train/.git", "s/docs", "__MACOSX/s/train/owl", "s/train/labels"]
    assert empty_class_folders(assignments, map(_folder, others)) == [("s", "train", "owl")]


# Images by folder (`folder: names`; the name is also the content), and the copies that would make false classes.
DOUBLED: dict[str, tuple[str, str]] = {
    "classes": ("a/cat:12, a/dog:34, a/a/cat:12, a/a/dog:34", "a/a"),
    "classes at the root": ("cat:12, dog:34, all/cat:12, all/dog:34", "all"),
    "a train part": ("x/ds/train/cat:12, x/ds/train/dog:34, x/ds/ds/train/cat:12, x/ds/ds/train/dog:34", "x/ds/ds"),
    "a split": (
        "s/train/cat:1, s/train/dog:2, s/val/cat:3, s/val/dog:4, "
        "s/s/train/cat:1, s/s/train/dog:2, s/s/val/cat:3, s/s/val/dog:4",
        "s/s",
    ),
    "three times": ("a/cat:1, a/dog:2, a/a/cat:1, a/a/dog:2, a/a/a/cat:1, a/a/a/dog:2", "a/a, a/a/a"),
    "other images": ("a/cat:12, a/dog:34, a/a/cat:12, a/a/dog:35", ""),
    "other names of folders": ("a/cat:12, a/dog:34, a/a/cats:12, a/a/dogs:34", ""),
    "a class within itself": ("cat:12, cat/cat:12, dog/brown:1, dog/white:2, dog/dog/brown:1, dog/dog/white:2", ""),
    "a part that holds itself": (
        "train/cat:1, train/dog:2, train/train/cat:1, train/train/dog:2, test/cat:3",
        "train/train",
    ),
    "a part that is as the rest": ("cat:1, dog:2, train/cat:1, train/dog:2", ""),
}


@pytest.mark.parametrize("name", DOUBLED)
def test_a_folder_that_repeats_its_parent_is_found(name: str) -> None:
    there, expected = DOUBLED[name]
    images = {folder: [(char, char) for char in names] for folder, names in _entries(there).items()}
    counts = {folder: len(held) for folder, held in images.items()}
    repeated = repeated_folders(images, assign_folders(counts))
    assert repeated == {_folder(text) for text in expected.split(", ") if text}
    assert may_be_repeated(counts) or not repeated


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["10", "9", "b", "a10", "a9", "a 9", "a", "01", "1", "10 b", "\u0665", "A", ""]
    in_order = ["", "01", "1", "9", "10", "10 b", "A", "a", "a9", "a10", "a 9", "b", "\u0665"]
    assert sorted(names, key=natural_order) == in_order == sorted(names[::-1], key=natural_order)


def _entries(text: str) -> dict[tuple[str, ...], str]:
    pairs = (entry.rpartition(":") for entry in text.split(", "))
    return {_folder(name): value for name, _, value in pairs}


def _counts(text: str) -> dict[tuple[str, ...], int]:
    return {folder: int(count) for folder, count in _entries(text).items()}


def _folder(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("/") if part)
