"""The dataset formats: recognised by content; of several, the most complete one is read.

`pipeline.params.formats` lists them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from core.domain.errors import DatasetRejected, FormatUnknown
from core.domain.findings import Finding
from pipeline.archive.contents import describe_contents, kinds_of
from pipeline.archive.entry_names import folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.formats.background import AUTO, settle_background
from pipeline.formats.box_limits import LimitReached
from pipeline.formats.class_order import take_class_order
from pipeline.formats.given_split import KEEP, give_split
from pipeline.formats.image_roles import SetFiles, files_of_set
from pipeline.formats.known_folders import read_known_folders
from pipeline.formats.listed import why_without_names
from pipeline.formats.parquet_rows import rows_file
from pipeline.formats.revision import revision_file
from pipeline.formats.unread_annotations import add_unread, unread_tables
from pipeline.params.formats import CATALOGUE

__all__ = ["DatasetFormat", "load_formats", "read_dataset"]

_FOLDERS = "folders"  # nearly every archive has folders: they are classes where no other format fits
_NAMES_MISSING = "class-names-missing"
_ABSENT = "no "  # begins the sentence of a format of which the archive has no file


class DatasetFormat(Protocol):
    """A module that recognises, reads and writes one format."""

    NAME: str

    def matches(self, source: ExtractedArchive) -> str | None:
        """None where the archive has this format, by content and in any folder; else what is missing, as a sentence."""
        ...

    def read(self, source: ExtractedArchive) -> Dataset:
        """All annotations of the source, with findings about what cannot be read. Validates nothing."""
        ...

    def rewrite(self, source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the annotation files for the items kept by a repair, so that `read` gives the same items.

        `source`: the archive that was read. Files of items that are not `changed` are copied where possible.
        """
        ...


_STRAY = 0.1  # of the images: at most this part has boxes where folders of classes are read


def load_formats() -> list[DatasetFormat]:
    return [cast(DatasetFormat, import_module(page.module)) for page in CATALOGUE.values()]


def read_dataset(
    archive: ExtractedArchive,
    findings: list[Finding],
    *,
    background: str = AUTO,
    split: str = KEEP,
    classes: Sequence[str] = (),
) -> Dataset:
    """Reads the archive in the format that describes most of its images, by the rules of docs/decisions/0022.

    `background`, `split`: options of PrepareOptions. `classes`: those that are known of images without annotations, of
    which one folder then is enough. Raises Rejected (FormatUnknown) with `findings`, and with what
    each format is missing; Rejected where annotations hold more than is accepted.
    """
    try:
        return _read_dataset(archive, findings, background, split, classes)
    except LimitReached as limit:
        beyond = limit.finding
        raise Rejected(DatasetRejected(beyond.detail, errors={beyond.code: 1}), [*findings, beyond]) from limit


def _read_dataset(
    archive: ExtractedArchive, findings: list[Finding], background: str, split: str, classes: Sequence[str]
) -> Dataset:
    archive, order, faults = take_class_order(archive)
    states_all = revision_file(archive) or rows_file(archive)
    source, left_out = SetFiles(archive, []) if states_all else files_of_set(archive)
    left_out = [*faults, *left_out]
    boxes, folders = _read(source, findings + left_out, classes)
    best = max(folders or boxes, key=_completeness)  # max returns the first of equals
    others = [other for other in boxes if other is not best]
    dataset = _beside_others(best, others) if others else best
    for other in folders:
        dataset = _beside_classes(dataset, other) if other is not best else dataset
    used = {item.annotation for other in others for item in other.items if item.annotation}
    given = give_split(source, dataset, split)
    dataset = replace(
        dataset,
        class_order=order or dataset.class_order,
        items=given.items,
        findings=[*left_out, *dataset.findings, *_without_names(dataset)],
    )
    dataset = add_unread(source, dataset, used | given.used)
    dataset = replace(dataset, findings=dataset.findings + given.findings, broken=dataset.broken | given.doubtful)
    return settle_background(dataset, given.listed, background)


def _read(
    source: ExtractedArchive, findings: list[Finding], known_classes: Sequence[str]
) -> tuple[list[Dataset], list[Dataset]]:
    """In each format with boxes that the archive has, and in each without. Raises Rejected where there is none."""
    found, tried = _recognise(source)
    if not found and (known := read_known_folders(source, known_classes)):
        return [], [known]
    if not found:
        unread = unread_tables(source)
        missing = _what_is_missing(source, tried)
        detail = " ".join([*(f"{each.path}: {each.detail}" for each in unread[:3]), missing])
        problem = FormatUnknown(detail, tried=tried, left_out=list(source.left_out[:20]))
        raise Rejected(problem, findings + unread)
    boxes = [each for each in found if CATALOGUE[each.NAME].kind == "detection"]
    classes = [each for each in found if each not in boxes]
    classes = [each for each in classes if each.NAME != _FOLDERS] or classes
    read = [each.read(source) for each in boxes]
    return read, [each.read(source) for each in classes] if not boxes or _is_stray(read) else []


def _is_stray(boxes: list[Dataset]) -> bool:
    """Whether so few images have an annotation that it does not decide the format beside folders of classes."""
    return all(_completeness(each)[0] <= _STRAY * len(each.items) for each in boxes)


def _what_is_missing(source: ExtractedArchive, tried: Mapping[str, str]) -> str:
    """What the archive holds, what the formats miss whose files are present, and what to do."""
    names = [file.name for file in source.files]
    images = [name for name in names if is_image(name)]
    if not images:
        return describe_contents([*names, *source.left_out])
    folders = {folder_of(name) for name in images}
    held = f"The archive holds {counted(len(images), 'image')} in {counted(len(folders), 'folder')}"
    others = [name for name in (*names, *source.left_out) if not is_image(name)]
    held += f", and {kinds_of(others)}." if others else ", and no other files."
    missing = [f"{name}: {text}" for name, text in tried.items() if not text.startswith(_ABSENT)]
    remedy = "Add the annotations of the images, or put the images of each class into a folder with its name."
    return " ".join([held, *missing, remedy])


def _recognise(source: ExtractedArchive) -> tuple[list[DatasetFormat], dict[str, str]]:
    """The formats that the archive has, of those that decide where it has one; and what each of the others misses."""
    formats = load_formats()
    missing: dict[str, str | None] = {}
    for decides in (True, False):
        some = [each for each in formats if CATALOGUE[each.NAME].decides == decides]
        missing |= {each.NAME: each.matches(source) for each in some}
        if found := [each for each in some if missing[each.NAME] is None]:
            return found, {}
    return [], {name: text for name in CATALOGUE if (text := missing[name]) is not None}


def _beside_others(best: Dataset, others: list[Dataset]) -> Dataset:
    """The one that is read, with an error where another one labels images that it does not."""
    own = {item.image.name for item in best.items if item.annotation}
    more = [item for each in others for item in each.items if item.annotation and item.image.name not in own]
    if not more and best.kind == "classification":
        return best
    in_order = sorted((best, *others), key=lambda each: list(CATALOGUE).index(each.format))
    images = ", ".join(f"{each.format} describes {_described(each)} images" for each in in_order)
    detail = f"The archive has several formats: {images}."
    if not more:
        note = Finding.of("formats-several", "", f"{detail} {best.format} is read, the others are left out.")
        return replace(best, findings=[*best.findings, note])
    names = {item.image.name for item in more}
    detail += f" {counted(len(names), 'image')} would be used without the labels that another format gives."
    error = Finding.of("formats-mixed", more[0].annotation or "", detail)
    return replace(best, findings=[*best.findings, error], broken=best.broken | names)


def _beside_classes(best: Dataset, other: Dataset) -> Dataset:
    """The one that is read, with an error where another one gives other classes, or classes of other images."""
    own = {item.image.name: item.label for item in best.items}
    differs = {item.image.name for item in other.items if item.label and own.get(item.image.name) != item.label}
    path = next((item.annotation for item in other.items if item.annotation), None) or ""
    detail = f"The archive gives classes in several formats: {best.format} is read, {other.format} is left out."
    if not differs:
        return replace(best, findings=[*best.findings, Finding.of("formats-several", path, detail)])
    detail += f" Of {counted(len(differs), 'image')} it gives another class."
    error = Finding.of("formats-mixed", path, detail)
    return replace(best, findings=[*best.findings, error], broken=best.broken | differs)


def _without_names(dataset: Dataset) -> Iterator[Finding]:
    """Folders of numbers are names that somebody gave; the reader of YOLO reports lists that are missing or unread."""
    if dataset.format in (_FOLDERS, "yolo") or any(each.code == _NAMES_MISSING for each in dataset.findings):
        return
    labels = {box.label for item in dataset.items for box in item.boxes} | {item.label or "" for item in dataset.items}
    if why := why_without_names(labels - {""}):
        first = next((item.annotation for item in dataset.items if item.annotation), None)
        yield Finding.of(_NAMES_MISSING, first or "", why)


def _described(dataset: Dataset) -> int:
    if dataset.kind == "classification":
        return sum(item.label is not None for item in dataset.items)
    return _completeness(dataset)[0]


def _completeness(dataset: Dataset) -> tuple[int, int]:
    """Number of images with a usable annotation, and of their boxes. Of equals the first in the catalogue is read."""
    usable = [item for item in dataset.items if item.annotation and item.image.name not in dataset.broken]
    return len(usable), sum(len(item.boxes) for item in usable)
