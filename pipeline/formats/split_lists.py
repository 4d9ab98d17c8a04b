"""Writes a given split as lists, where the folders of a repaired set do not show it."""

from collections.abc import Iterator, Sequence

from pipeline.dataset.model import SPLITS, RepairedItem, common_folder
from pipeline.formats.split_folders import splits_by_folder


def split_lists(kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of ImageSets/Main/{train,val,test}.txt; nothing where the folders give the same split."""
    splits = {item.image.name: item.split for item, *_ in kept if item.split}
    if splits == splits_by_folder([item.image for item, *_ in kept]):
        return
    root = common_folder(list(splits))
    for split in SPLITS:
        listed = sorted(name for name, assigned in splits.items() if assigned == split)
        yield f"{root}ImageSets/Main/{split}.txt", "".join(f"{name}\n" for name in listed).encode()
