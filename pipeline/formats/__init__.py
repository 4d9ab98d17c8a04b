"""The dataset formats: recognised by content; of several, the most complete one is read.

`pipeline.params.formats` lists them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from core.domain.errors import FormatUnknown
from core.domain.findings import Finding
from pipeline.archive.contents import describe_contents, kinds_of
from pipeline.archive.entry_names import folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.formats.background import AUTO, settle_background
from pipeline.formats.image_roles import files_of_set
from pipeline.params.formats import CATALOGUE

__all__ = ["DatasetFormat", "load_formats", "read_dataset"]

_FOLDERS = "folders"  # nearly every archive has folders: they are classes where no other format fits
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


def load_formats() -> list[DatasetFormat]:
    return [cast(DatasetFormat, import_module(page.module)) for page in CATALOGUE.values()]


def read_dataset(archive: ExtractedArchive, findings: list[Finding], *, background: str = AUTO) -> Dataset:
    """Reads the archive in the format that describes most of its images, by the rules of docs/decisions/0022.

    `background`: an option of PrepareOptions. Raises Rejected (FormatUnknown) with `findings`, and with what each
    format is missing.
    """
    source, left_out = files_of_set(archive)
    dataset = _read(source, findings + left_out)
    dataset = replace(dataset, findings=left_out + dataset.findings)
    return settle_background(source, dataset, background)


def _read(source: ExtractedArchive, findings: list[Finding]) -> Dataset:
    found, tried = _recognise(source)
    if not found:
        problem = FormatUnknown(_what_is_missing(source, tried), tried=tried, left_out=list(source.left_out[:20]))
        raise Rejected(problem, findings)
    found = [candidate for candidate in found if CATALOGUE[candidate.NAME].decides] or found
    found = [candidate for candidate in found if candidate.NAME != _FOLDERS] or found
    kinds = {CATALOGUE[candidate.NAME].kind for candidate in found}
    if "detection" in kinds:
        found = [candidate for candidate in found if CATALOGUE[candidate.NAME].kind == "detection"]
    if len(found) == 1:
        return found[0].read(source)
    return _most_complete([candidate.read(source) for candidate in found])


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
    found: list[DatasetFormat] = []
    tried: dict[str, str] = {}
    for candidate in load_formats():
        missing = candidate.matches(source)
        if missing is None:
            found.append(candidate)
        else:
            tried[candidate.NAME] = missing
    return found, tried


def _most_complete(read: list[Dataset]) -> Dataset:
    """Most images with a usable annotation, then most boxes, then the first in the catalogue."""
    best = max(read, key=_completeness)  # max returns the first of equals
    images = ", ".join(f"{dataset.format} describes {_completeness(dataset)[0]} images" for dataset in read)
    detail = f"The archive has several formats: {images}. {best.format} is read, the others are left out."
    best.findings.append(Finding.of("formats-several", "", detail))
    return best


def _completeness(dataset: Dataset) -> tuple[int, int]:
    usable = [item for item in dataset.items if item.annotation and item.image.name not in dataset.broken]
    return len(usable), sum(len(item.boxes) for item in usable)
