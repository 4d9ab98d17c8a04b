"""Folders of classes: `<class>/*.jpg`, `train/<class>/*.jpg`, `<class>/train/*.jpg`, at any depth."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import base_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, Item, RepairedItem
from pipeline.formats.class_folders import Folder, Shelf, doubled_in, empty_beside, may_be_doubled, shelves_of

NAME = "folders"


def matches(source: ExtractedArchive) -> str | None:
    images = _images(source)
    if not images:
        return "no images in the archive."
    labels = sum(file.name.lower().endswith((".txt", ".json", ".xml")) for file in source.files)
    if labels * 2 > len(images):
        return "there is about one text file for each image, so this is no folder of classes."
    if len({shelf.label for shelf in _places(images).shelves.values() if shelf.label}) < 2:
        return "the images do not lie in at least two folders that could be classes."
    return None


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`: each item has the name of its class's folder as its label, None outside of all."""
    places = _places(_images(source))
    shelves, images = places.shelves, places.images
    given = (
        len({shelf.split for shelf in shelves.values() if shelf.label}) > 1
    )  # one part round everything says nothing
    items = tuple(
        Item(image, split=shelf.split if given else None, label=shelf.label)
        for image in images
        for shelf in [shelves[_folder(image.name)]]
    )
    findings = [*_doubled(places), *_nested(images, shelves), *_empty(source, places)]
    return Dataset("classification", NAME, items, findings)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the contract
    """Nothing: the folders say it all."""
    return iter(())


def _images(source: ExtractedArchive) -> list[SourceFile]:
    return [file for file in source.files if is_image(file.name)]


class _Places(NamedTuple):
    """`images` without those in `doubled`: folders that repeat the one round them."""

    images: list[SourceFile]
    shelves: dict[Folder, Shelf]
    doubled: set[Folder]
    left_out: int


def _places(images: list[SourceFile]) -> _Places:
    counts = Counter(_folder(image.name) for image in images)
    shelves = shelves_of(counts)
    doubled = doubled_in(_by_folder(images), shelves) if may_be_doubled(counts) else set()
    if not doubled:
        return _Places(images, shelves, doubled, 0)
    once = {folder: count for folder, count in counts.items() if not _lies_in(folder, doubled)}
    kept = [image for image in images if _folder(image.name) in once]
    return _Places(kept, shelves_of(once), doubled, len(images) - len(kept))


def _by_folder(images: list[SourceFile]) -> dict[Folder, list[tuple[str, str]]]:
    found: dict[Folder, list[tuple[str, str]]] = defaultdict(list)
    for image in images:
        found[_folder(image.name)].append((base_of(image.name), image.sha256))
    return found


def _lies_in(folder: Folder, others: set[Folder]) -> bool:
    return any(folder[:at] in others for at in range(1, len(folder) + 1))


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])


def _doubled(places: _Places) -> Iterator[Finding]:
    if places.doubled:
        first, *others = sorted(places.doubled)
        images = "1 image is" if places.left_out == 1 else f"{places.left_out} images are"
        more = f" (and {len(others)} more)" if others else ""
        detail = f"This folder{more} holds the same images as its parent folder; {images} left out."
        yield Finding.of("folders-repeated", "/".join(first), detail)


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
        images_are = counted(counts[folder], "image is", "images are")
        detail = f"{images_are} in a subfolder of the class folder {shelves[folder].label!r} and belong to that class."
        yield Finding.of("class-nested", name, detail)


def _empty(source: ExtractedArchive, places: _Places) -> Iterator[Finding]:
    names = [*(file.name for file in source.files), *source.left_out, *(f"{name}/" for name in source.folders)]
    others = dict.fromkeys(folder for folder in map(_folder, names) if not _lies_in(folder, places.doubled))
    for folder in empty_beside(places.shelves, others):
        detail = f"{folder[-1]!r} is among the class folders but has no images; it is not a class."
        yield Finding.of("class-empty", "/".join(folder), detail)
