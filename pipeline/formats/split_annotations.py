"""Splits given by the names of annotation files that list images: `instances_val2017.json`, `train/labels.csv`."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.dataset.model import Item, common_folder
from pipeline.formats.split_names import TRAINVAL, parts_in, split_of_file, split_of_folder
from pipeline.formats.split_sources import SplitSource

_OF_ONE_IMAGE = frozenset({"voc", "yolo", "labelme", "folders"})  # formats whose files do not list images


def parts_of_files(names: Collection[str]) -> dict[str, str]:
    """Annotation file -> split or TRAINVAL, by a word of its name or a folder; empty for one file, which is of all."""
    if len(names) < 2:
        return {}
    root = len(common_folder(list(names)))
    return {name: part for name in sorted(names) if (part := _part_of(name, root))}


def sources_of_files(dataset_format: str, items: Sequence[Item]) -> list[SplitSource]:
    """One for each annotation file that is named like a part."""
    files = _images_by_file(dataset_format, items)
    return [SplitSource(name, name, dict.fromkeys(files[name], part)) for name, part in parts_of_files(files).items()]


def unknown_files(
    dataset_format: str, items: Sequence[Item], splits: Mapping[str, str]
) -> Iterator[tuple[Finding, list[str]]]:
    """(an error about a file beside one for train that is named like no part, its images of no part)."""
    files = _images_by_file(dataset_format, items)
    parts = parts_of_files(files)
    if "train" not in parts.values() and TRAINVAL not in parts.values():
        return
    train = next(name for name, part in parts.items() if part in ("train", TRAINVAL))
    for name, images in sorted(files.items()):
        undecided = [image for image in images if image not in splits]
        if name not in parts and undecided:
            detail = f"The file lies beside {train}, but is not named like a part of the split (train, val, test), and "
            detail += f"{counted(len(undecided), 'image')}, such as {undecided[0]}, may be held out."
            yield Finding.of("split-file-unknown", name, detail), undecided


def _images_by_file(dataset_format: str, items: Sequence[Item]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    if dataset_format not in _OF_ONE_IMAGE:
        for item in items:
            if item.annotation:
                files[item.annotation].append(item.image.name)
    return files


def _part_of(name: str, root: int) -> str | None:
    stem = bare_of(base_of(name))
    if parts_in(stem):
        return split_of_file(stem)
    return next((found for word in name[root:].split("/")[:-1] if (found := split_of_folder(word))), None)
