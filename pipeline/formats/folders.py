"""Class folders: `<class>/*.jpg`, `train/<class>/*.jpg`, `<class>/train/*.jpg`, at any depth."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.extract import is_hidden
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, Item, RepairedItem, common_folder
from pipeline.formats.class_folders import (
    NO_CLASS,
    Assignment,
    Folder,
    assign_folders,
    empty_class_folders,
    may_be_repeated,
    repeated_folders,
)
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.split_folders import splits_by_folder
from pipeline.formats.split_names import parts_in, split_of_folder
from pipeline.formats.text import class_name_fault

NAME = "folders"


def matches(source: ExtractedArchive) -> str | None:
    images = images_of_set(source)
    if not images:
        return "no images in the archive."
    if sum(_files_of_images(source, images)) * 2 > len(images):
        return "about every image has a text file, so these are not class folders."
    if len({each.label for each in _assigned(images).assignments.values() if each.label}) < 2:
        return "the images are not in two or more folders that could be classes."
    return None


def _files_of_images(source: ExtractedArchive, images: list[SourceFile]) -> Iterator[bool]:
    """For each text file, whether it has the name of an image, or is in a folder of labels."""
    stems = {bare_of(base_of(image.name)) for image in images}
    for file in source.files:
        if file.name.lower().endswith((".txt", ".json", ".xml")):
            folders = file.name.lower().split("/")[:-1]
            yield bare_of(base_of(file.name)) in stems or any(part.startswith(("label", "anno")) for part in folders)


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`: the label of an item is the name of its class folder, None outside of all."""
    assigned = _assigned(images_of_set(source))
    assignments, images = assigned.assignments, assigned.images
    splits = {each.split for each in assignments.values() if each.label}
    given = len(splits) > 1  # a single split folder around everything is not a split
    items = tuple(
        Item(image, split=each.split if given else None, label=each.label)
        for image in images
        for each in [assignments[_folder(image.name)]]
    )
    findings = [*_repeated(assigned), *_nested(images, assignments), *_empty(source, assigned)]
    findings += [*_merged(assignments), *_named_like_parts(assignments)]
    faults = _name_faults(assignments)
    findings += faults.values()
    broken = frozenset(image.name for image in images if assignments[_folder(image.name)].folder in faults)
    return Dataset("classification", NAME, items, findings, broken)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the contract
    """The folders are the annotation; lists for a split that they do not give."""
    splits = {item.image.name: item.split for item, *_ in kept if item.split}
    if not splits or splits == splits_by_folder([item.image for item, *_ in kept]):
        return
    root = common_folder(list(splits))
    for split in SPLITS:
        listed = sorted(name for name, assigned in splits.items() if assigned == split)
        yield f"{root}{split}.txt", "".join(f"{name[len(root) :]}\n" for name in listed).encode()


class _Assigned(NamedTuple):
    """`images` without those in `repeated`: folders that repeat their parent."""

    images: list[SourceFile]
    assignments: dict[Folder, Assignment]
    repeated: set[Folder]
    left_out: int


def _assigned(images: list[SourceFile]) -> _Assigned:
    counts = Counter(_folder(image.name) for image in images)
    assignments = assign_folders(counts)
    repeated = repeated_folders(_by_folder(images), assignments) if may_be_repeated(counts) else set()
    if not repeated:
        return _Assigned(images, assignments, repeated, 0)
    without = {folder: count for folder, count in counts.items() if not _is_in(folder, repeated)}
    kept = [image for image in images if _folder(image.name) in without]
    return _Assigned(kept, assign_folders(without), repeated, len(images) - len(kept))


def _by_folder(images: list[SourceFile]) -> dict[Folder, list[tuple[str, str]]]:
    found: dict[Folder, list[tuple[str, str]]] = defaultdict(list)
    for image in images:
        found[_folder(image.name)].append((base_of(image.name), image.sha256))
    return found


def _is_in(folder: Folder, others: set[Folder]) -> bool:
    return any(folder[:at] in others for at in range(1, len(folder) + 1))


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])


def _name_faults(assignments: dict[Folder, Assignment]) -> dict[Folder, Finding]:
    """By class folder; faults of an entry's name, such as a NUL, are found before."""
    folders = sorted({each.folder for each in assignments.values() if each.folder})
    return {
        folder: Finding.of(code, "/".join(folder), detail)
        for folder in folders
        if (fault := class_name_fault(folder[-1]))
        for code, detail in [fault]
    }


def _repeated(assigned: _Assigned) -> Iterator[Finding]:
    if assigned.repeated:
        first, *others = sorted(assigned.repeated)
        images = counted(assigned.left_out, "image is", "images are")
        more = f" (and {len(others)} more)" if others else ""
        detail = f"This folder{more} holds the same images as its parent folder; {images} left out."
        yield Finding.of("folders-repeated", "/".join(first), detail)


def _nested(images: list[SourceFile], assignments: dict[Folder, Assignment]) -> Iterator[Finding]:
    """One finding for each subfolder of a class folder."""
    first: dict[Folder, str] = {}
    counts: Counter[Folder] = Counter()
    for image in images:
        folder = _folder(image.name)
        if assignments[folder].nested:
            first.setdefault(folder, image.name)
            counts[folder] += 1
    for folder, name in first.items():
        images_are = counted(counts[folder], "image is", "images are")
        detail = (
            f"{images_are} in a subfolder of the class folder {assignments[folder].label!r} and belong to that class."
        )
        yield Finding.of("class-nested", name, detail)


def _merged(assignments: dict[Folder, Assignment]) -> Iterator[Finding]:
    """One warning where class folders of one name are in several parents, besides parts of a split."""
    parents: dict[str, dict[Folder, Folder]] = defaultdict(dict)
    for each in assignments.values():
        if each.folder:
            above = tuple(
                part
                for part in each.folder[:-1]
                if not (split_of_folder(part) or (each.split and parts_in(part))) and part.lower() not in NO_CLASS
            )
            parents[each.folder[-1]].setdefault(above, each.folder)
    merged = {label: sorted(found.values()) for label, found in parents.items() if len(found) > 1}
    if not merged:
        return
    label, folders = min(merged.items())
    classes = counted(len(merged), "class is", "classes are")
    places = ", ".join("/".join(each) for each in folders[:3])
    detail = (
        f"{classes} in several parent folders, such as {label!r} in {places}. "
        "The lowest level counts: the folders of one name are one class, whatever they are in."
    )
    yield Finding.of("class-folders-merged", "/".join(folders[0]), detail)


def _named_like_parts(assignments: dict[Folder, Assignment]) -> Iterator[Finding]:
    """One warning about classes that may be parts of a split whose images have no classes."""
    alone = {each.folder for each in assignments.values() if each.folder and not each.split}
    named = sorted(folder for folder in alone if split_of_folder(folder[-1]))
    if named:
        names = ", ".join(repr(each[-1]) for each in named[:5])
        detail = f"{names}: read as {counted(len(named), 'class', 'classes')}, though named like a part of a split."
        yield Finding.of("class-named-like-part", "/".join(named[0]), detail)


def _empty(source: ExtractedArchive, assigned: _Assigned) -> Iterator[Finding]:
    names = [*(file.name for file in source.files), *source.left_out, *(f"{name}/" for name in source.folders)]
    known = (name for name in names if not is_hidden(name))
    others = dict.fromkeys(folder for folder in map(_folder, known) if not _is_in(folder, assigned.repeated))
    for folder in empty_class_folders(assigned.assignments, others):
        detail = f"{folder[-1]!r} is among the class folders but has no images; it is not a class."
        yield Finding.of("class-empty", "/".join(folder), detail)
