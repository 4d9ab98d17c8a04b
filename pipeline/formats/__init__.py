"""The formats we read: recognised by content, the most complete one taken. pipeline.params.formats lists them."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Protocol, cast

from core.domain.errors import FormatUnknown
from core.domain.findings import Finding
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.params.formats import CATALOGUE


class DatasetFormat(Protocol):
    """A module that recognises, reads and writes one format."""

    NAME: str

    def matches(self, source: ExtractedArchive) -> str | None:
        """None where this format is found, by content and wherever it lies; else what is missing, for people."""
        ...

    def read(self, source: ExtractedArchive) -> Dataset:
        """Everything that the source says, with findings about what could not be read. Decides nothing."""
        ...

    def rewrite(self, source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
        """The annotation files of what is kept after a repair, by name, so that `read` reads the same items again.

        `source` is what was read: files of items that are not `changed` go on as they are where that is possible.
        """
        ...


def load_formats() -> list[DatasetFormat]:
    return [cast(DatasetFormat, import_module(page.module)) for page in CATALOGUE.values()]


def read_dataset(source: ExtractedArchive, findings: list[Finding]) -> Dataset:
    """What the archive holds, by the format that describes most of its images.

    Folders of classes are only thought of where nothing has boxes: nearly every archive has folders. Raises Rejected
    (FormatUnknown) with `findings`, saying what each format missed.
    """
    found, tried = _recognise(source)
    if not found:
        seen = f"{len(source.files)} files could be data, {len(source.left_out)} could not"
        detail = f"{seen}. " + " ".join(f"{name}: {missed}" for name, missed in tried.items())
        problem = FormatUnknown(detail, tried=tried, left_out=list(source.left_out[:20]))
        raise Rejected(problem, findings)
    kinds = {CATALOGUE[candidate.NAME].kind for candidate in found}
    if "detection" in kinds:
        found = [candidate for candidate in found if CATALOGUE[candidate.NAME].kind == "detection"]
    if len(found) == 1:
        return found[0].read(source)
    return _most_complete([candidate.read(source) for candidate in found])


def _recognise(source: ExtractedArchive) -> tuple[list[DatasetFormat], dict[str, str]]:
    found: list[DatasetFormat] = []
    tried: dict[str, str] = {}
    for candidate in load_formats():
        missed = candidate.matches(source)
        if missed is None:
            found.append(candidate)
        else:
            tried[candidate.NAME] = missed
    return found, tried


def _most_complete(read: list[Dataset]) -> Dataset:
    """Most images with a usable annotation, then most boxes, then the first in the catalogue."""
    best = max(read, key=_completeness)  # of equals, max keeps the first
    images = ", ".join(f"{dataset.format} describes {_completeness(dataset)[0]} images" for dataset in read)
    detail = f"The archive has several formats: {images}. {best.format} is read, the others are left out."
    best.findings.append(Finding.of("formats-several", "", detail))
    return best


def _completeness(dataset: Dataset) -> tuple[int, int]:
    usable = [item for item in dataset.items if item.annotation and item.image.name not in dataset.broken]
    return len(usable), sum(len(item.boxes) for item in usable)
