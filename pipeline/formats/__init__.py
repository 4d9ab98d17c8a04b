"""The formats we read. A new one is one file and one line here."""

from importlib import import_module
from typing import Protocol, cast

from core.domain.errors import FormatUnknown
from core.domain.findings import Finding
from pipeline.dataset import Dataset, Rejected, Source

CATALOGUE = ("pipeline.formats.voc", "pipeline.formats.folders")  # asked in this order


class DatasetFormat(Protocol):
    """A module that recognises and reads one format."""

    NAME: str

    def matches(self, source: Source) -> str | None:
        """None where this format is found, by content and wherever it lies; else what is missing, for people."""
        ...

    def read(self, source: Source) -> Dataset:
        """Everything that the source says, with findings about what could not be read. Decides nothing."""
        ...


def load_formats() -> list[DatasetFormat]:
    return [cast(DatasetFormat, import_module(name)) for name in CATALOGUE]


def detect_format(source: Source, findings: list[Finding]) -> DatasetFormat:
    """The first format that matches. Raises Rejected (FormatUnknown) that says what each one missed."""
    tried: dict[str, str] = {}
    for candidate in load_formats():
        missed = candidate.matches(source)
        if missed is None:
            return candidate
        tried[candidate.NAME] = missed
    seen = f"{len(source.files)} files could be data, {len(source.left_out)} could not"
    detail = f"{seen}. " + " ".join(f"{name}: {missed}" for name, missed in tried.items())
    problem = FormatUnknown(detail, tried=tried, left_out=list(source.left_out[:20]))
    raise Rejected(problem, findings)
