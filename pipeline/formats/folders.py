"""Folders of classes: `<class>/*.jpg`, `train/<class>/*.jpg`, `<class>/train/*.jpg`, at any depth."""

from collections import Counter
from collections.abc import Iterator, Sequence

from core.domain.findings import Finding, Severity
from pipeline.archive import is_picture
from pipeline.dataset import Dataset, Item, Mended, Source, SourceFile
from pipeline.formats.class_folders import Folder, Shelf, empty_beside, shelves_of

NAME = "folders"


def matches(source: Source) -> str | None:
    images = _images(source)
    if not images:
        return "no pictures in the archive."
    labels = sum(file.name.lower().endswith((".txt", ".json", ".xml")) for file in source.files)
    if labels * 2 > len(images):
        return "there is about one text file for each picture, so this is no folder of classes."
    if len({shelf.label for shelf in _places(images).values() if shelf.label}) < 2:
        return "the pictures do not lie in at least two folders that could be classes."
    return None


def read(source: Source) -> Dataset:
    """Kind `classification`: each item has the name of its class's folder as its label, None outside of all."""
    images = _images(source)
    shelves = _places(images)
    given = (
        len({shelf.split for shelf in shelves.values() if shelf.label}) > 1
    )  # one part round everything says nothing
    items = tuple(
        Item(image, split=shelf.split if given else None, label=shelf.label)
        for image in images
        for shelf in [shelves[_folder(image.name)]]
    )
    return Dataset("classification", NAME, items, [*_nested(images, shelves), *_empty(source, shelves)])


def rewrite(source: Source, kept: Sequence[Mended]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the contract
    """Nothing: the folders say it all."""
    return iter(())


def _images(source: Source) -> list[SourceFile]:
    return [file for file in source.files if is_picture(file.name)]


def _places(images: list[SourceFile]) -> dict[Folder, Shelf]:
    return shelves_of(Counter(_folder(image.name) for image in images))


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])


def _nested(images: list[SourceFile], shelves: dict[Folder, Shelf]) -> Iterator[Finding]:
    """One for each folder below that of its class."""
    first: dict[Folder, str] = {}
    counts: Counter[Folder] = Counter()
    for image in images:
        folder = _folder(image.name)
        if shelves[folder].nested:
            first.setdefault(folder, image.name)
            counts[folder] += 1
    for folder, name in first.items():
        detail = (
            f"{counts[folder]} pictures lie deeper than others; they count for the class {shelves[folder].label!r}."
        )
        remedy = "Nothing to do; or move them to the folder of their class."
        yield Finding("class-nested", Severity.WARNING, name, detail, remedy)


def _empty(source: Source, shelves: dict[Folder, Shelf]) -> Iterator[Finding]:
    names = [*(file.name for file in source.files), *source.left_out, *(f"{name}/" for name in source.folders)]
    for folder in empty_beside(shelves, dict.fromkeys(map(_folder, names))):
        detail = f"{folder[-1]!r} lies among the folders of classes and holds no picture; it is no class."
        yield Finding("class-empty", Severity.WARNING, "/".join(folder), detail, "Add pictures of it, or remove it.")
