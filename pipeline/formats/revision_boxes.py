"""A revision of the kind detection: see `pipeline.formats.revision`."""

from collections.abc import Iterator, Sequence

from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.formats.revision import missing_in, read_revision, rewritten

NAME = "darkroom"


def matches(source: ExtractedArchive) -> str | None:
    return missing_in(source, "detection")


def read(source: ExtractedArchive) -> Dataset:
    return read_revision(source, NAME, "detection")


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    return rewritten(source, kept)
