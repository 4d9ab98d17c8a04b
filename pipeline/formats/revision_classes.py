"""A revision of the kind classification: see `pipeline.formats.revision`."""

from collections.abc import Iterator, Sequence

from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.formats.revision import missing_in, read_revision, rewritten

NAME = "darkroom-classes"


def matches(source: ExtractedArchive) -> str | None:
    return missing_in(source, "classification")


def read(source: ExtractedArchive) -> Dataset:
    return read_revision(source, NAME, "classification")


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    return rewritten(source, kept)
