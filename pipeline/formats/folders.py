"""Folders of classes (`<class>/*.jpg`, `train/<class>/*.jpg`): recognised and checked, so that the answer is clear."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from pipeline.archive import IMAGE_SUFFIXES
from pipeline.dataset import Dataset, Item, Mended, Source, SourceFile, common_folder
from pipeline.formats.split_names import split_of_folder, splits_by_folder

NAME = "folders"
_NO_CLASS = frozenset({"images", "image", "imgs", "img", "labels", "annotations", "jpegimages"})


def matches(source: Source) -> str | None:
    images = _images(source)
    if not images:
        return "no pictures in the archive."
    classes = Counter(_classes(images).values())
    labels = sum(file.name.lower().endswith((".txt", ".json", ".xml")) for file in source.files)
    if labels * 2 > len(images):
        return "there is about one text file for each picture, so this is no folder of classes."
    classes.pop("", None)
    if len(classes) < 2:
        return "the pictures do not lie in at least two folders that could be classes."
    return None


def read(source: Source) -> Dataset:
    """Kind `classification`: each item has the name of its folder as its label."""
    images = _images(source)
    classes = _classes(images)
    splits = splits_by_folder(images)
    items = tuple(Item(image, split=splits.get(image.name), label=classes[image.name]) for image in images)
    return Dataset("classification", NAME, items)


def rewrite(source: Source, kept: Sequence[Mended]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the contract
    """Nothing: the folders say it all."""
    return iter(())


def _images(source: Source) -> list[SourceFile]:
    return [file for file in source.files if PurePosixPath(file.name).suffix.lower() in IMAGE_SUFFIXES]


def _classes(images: list[SourceFile]) -> dict[str, str]:
    """Image name -> the deepest folder below the root that is neither a split nor called `images`; '' for none."""
    root = len(common_folder([image.name for image in images]))
    classes: dict[str, str] = {}
    for image in images:
        folders = PurePosixPath(image.name[root:]).parts[:-1]
        named = [folder for folder in folders if not split_of_folder(folder) and folder.lower() not in _NO_CLASS]
        classes[image.name] = named[-1] if named else ""
    return classes
