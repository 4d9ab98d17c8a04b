"""Which files of a hub's dataset are taken, by their names and the card."""

from typing import Any

import pytest

from core.domain.errors import HubSetUnusable
from pipeline.hub.files import MAX_FILES, MAX_PATTERNS, HubFile, names_of_card, select_files
from pipeline.params.hub_set import HubSet

PUSHED = (
    "data/test-00000-of-00001-dc.parquet",
    "data/train-00000-of-00002-de.parquet",
    "data/train-00001-of-00002.parquet",
)
CONVERTED = ("a/test/0000.parquet", "a/train/0000.parquet", "b/train/0000.parquet")
FOLDERS = ("train/cat/1.JPG", "train/cat/2.jpg", "train/dog/1.png", "test/cat/3.jpg", "train/cat/notes.txt")
CARD = {
    "configs": [
        {"config_name": "full", "data_files": [{"split": "train", "path": ["full/part-*", "more/**/*.parquet"]}]},
        {"config_name": "small", "default": True, "data_files": [{"split": "train", "path": "small/*"}]},
    ]
}
CARDED = ("full/part-0.parquet", "full/x/part-1.parquet", "more/a/b/2.parquet", "more/3.parquet", "small/0.parquet")


def taken(
    names: tuple[str, ...], *splits: str, card: dict[str, Any] | None = None, subset: str | None = None
) -> list[tuple[str, str]]:
    requested = HubSet(repository="org/set", splits=splits or ("train",), subset=subset)
    return [
        (each.split, each.file.name) for each in select_files([HubFile(name) for name in names], card or {}, requested)
    ]


def test_the_train_split_is_taken_unless_others_are_requested() -> None:
    assert taken(PUSHED) == [("train", PUSHED[1]), ("train", PUSHED[2])]
    assert [split for split, _ in taken(PUSHED, "train", "test")] == ["train", "train", "test"]
    assert taken(("valid/x.parquet",), "validation") == [("validation", "valid/x.parquet")]
    assert taken(("x.parquet",)) == [("train", "x.parquet")], "one without a word of splits is train"


def test_files_converted_by_the_hub_are_selected_by_subset() -> None:
    assert taken(CONVERTED, subset="a") == [("train", "a/train/0000.parquet")]
    with pytest.raises(HubSetUnusable, match="several subsets"):
        taken(CONVERTED)


def test_images_in_class_folders_are_taken_if_there_are_no_tables() -> None:
    assert [name for _, name in taken(FOLDERS)] == ["train/cat/1.JPG", "train/cat/2.jpg", "train/dog/1.png"]
    assert ("test", "test/cat/3.jpg") in taken(FOLDERS, "train", "test")


def test_a_card_that_names_files_takes_precedence() -> None:
    assert taken(CARDED, card=CARD) == [("train", "small/0.parquet")]
    names = [name for _, name in taken(CARDED, card=CARD, subset="full")]
    assert names == ["full/part-0.parquet", "more/3.parquet", "more/a/b/2.parquet"]
    with pytest.raises(HubSetUnusable, match="no subset huge") as refused:
        taken(CARDED, card=CARD, subset="huge")
    assert refused.value.facts["subsets"] == ["full", "small"]


@pytest.mark.parametrize(
    "held_out",
    ["data/holdout-0.parquet", "data/Test-0.parquet", "test2017/0.parquet", "my_test.parquet"],
)
def test_files_of_no_split_or_another_are_left_out_if_any_file_names_a_split(held_out: str) -> None:
    assert taken(("data/train-0.parquet", held_out)) == [("train", "data/train-0.parquet")]
    assert taken(("train/cat/1.jpg", "train/dog/1.jpg", "holdout/cat/1.jpg"))[-1] == ("train", "train/dog/1.jpg")


def test_a_class_may_be_named_like_a_split() -> None:
    assert len(taken(("cat/1.jpg", "dog/1.jpg", "test/1.jpg"))) == 3


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("README.md", "train.zip", "set.py", "data.csv"),
        ("/etc/train.parquet", "../train.parquet", "a/\0.parquet", "\ud800.parquet", "a/" * 99 + "b.parquet"),
    ],
    ids=["empty", "archives and scripts", "hostile paths"],
)
def test_a_dataset_without_usable_files_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(HubSetUnusable, match="no parquet files"):
        taken(names)


def test_no_more_than_the_maximum_of_files_is_fetched() -> None:
    names = tuple(f"cat/{number}.jpg" for number in range(MAX_FILES + 1))
    assert len(taken(names[1:])) == MAX_FILES
    with pytest.raises(HubSetUnusable, match="20001 files"):
        taken(names)


def test_a_hostile_pattern_is_matched_quickly() -> None:
    names = tuple(f"{'a' * 200}{number}.parquet" for number in range(50))
    card = {"configs": [{"config_name": "x", "data_files": "*a" * 90 + "b"}]}
    with pytest.raises(HubSetUnusable):
        taken(names, card=card)


def test_too_many_patterns_are_refused_and_matching_can_be_stopped() -> None:
    names = tuple(f"{number}.parquet" for number in range(5_001))

    def card(patterns: int) -> dict[str, Any]:
        return {"configs": [{"config_name": "x", "data_files": [f"*{number}*.x" for number in range(patterns)]}]}

    with pytest.raises(HubSetUnusable, match="too many file patterns"):
        taken(names[:3], card=card(MAX_PATTERNS + 1))
    with pytest.raises(HubSetUnusable, match="too many file patterns"):
        taken(names, card=card(MAX_PATTERNS))
    requested, files = HubSet(repository="org/set"), [HubFile(name) for name in names[:5_000]]
    with pytest.raises(InterruptedError):
        select_files(files, card(MAX_PATTERNS), requested, _stop)


def _stop() -> None:
    raise InterruptedError


@pytest.mark.parametrize(
    "card",
    [{}, {"configs": "x"}, {"configs": [3, {"config_name": "x"}]}, {"configs": [{"data_files": [3, {"split": 4}]}]}],
)
def test_a_malformed_card_is_ignored_or_refused(card: dict[str, Any]) -> None:
    if card.get("configs") and isinstance(card["configs"][0], dict):
        with pytest.raises(HubSetUnusable):
            taken(PUSHED, card=card)
    else:
        assert len(taken(PUSHED, card=card)) == 2


def test_class_names_come_from_the_card() -> None:
    labels = {"name": "labels", "dtype": {"class_label": {"names": {"0": "calling", "1": "clapping"}}}}
    info = {"config_name": "a", "features": [{"name": "image", "dtype": "image"}, labels]}
    assert names_of_card({"dataset_info": info}, None) == {"labels": ["calling", "clapping"]}
    assert names_of_card({"dataset_info": [{"config_name": "b"}, info]}, "a") == {"labels": ["calling", "clapping"]}
    assert names_of_card({"dataset_info": {"features": [3, {"name": "x", "dtype": {"class_label": 4}}]}}, None) == {}


@pytest.mark.parametrize("splits", [("train", "extra"), ("validation", "val"), ("train", "train")])
def test_splits_that_overlap_are_refused(splits: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="split"):
        HubSet(repository="org/set", splits=splits)
