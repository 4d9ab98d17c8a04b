"""Parquet files with boxes, unpacked: see `pipeline.formats.parquet_rows`."""

from collections.abc import Iterator, Sequence

from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, RepairedItem
from pipeline.formats.parquet_rows import missing_in, read_unpacked, rewritten

NAME = "parquet"


def matches(source: ExtractedArchive) -> str | None:
    return missing_in(source, "detection")


def read(source: ExtractedArchive) -> Dataset:
    return read_unpacked(source, NAME, "detection")


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    return rewritten(source, kept)
