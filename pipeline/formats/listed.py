"""Datasets whose annotation files list their images by name: tables, JSON Lines, and exports of labelling tools."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from core.domain.findings import Finding, FindingList
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Coordinates, Dataset, Item, RawBox
from pipeline.formats.box_limits import add_box, require_boxes
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.listed_pairs import ListedEntry, pair_listed
from pipeline.formats.split_names import split_of_folder
from pipeline.formats.tables import is_empty

_NUMBER_OR_ID = re.compile(r"-?\d+|/m/\w+")
_NO_SUBSET = "default"  # the subset of CVAT for images of none


@dataclass(slots=True)
class ListedImage:
    """What an annotation file states about one image. `name`: a file name or a path, with or without its suffix.

    `label`: the class of the whole image. `split`: the part as written. `usable`: no error makes its boxes or its label
    unreliable.
    """

    file: SourceFile
    name: str
    line: int | None = None
    size: tuple[int, int] | None = None
    boxes: list[RawBox] = field(default_factory=list)
    label: str | None = None
    split: str | None = None
    coordinates: Coordinates = "edges"
    usable: bool = True


@dataclass(slots=True)
class Report:
    """The findings of one annotation file, and how many boxes it has."""

    file: SourceFile
    findings: FindingList = field(default_factory=FindingList)
    boxes: int = 0

    def add(self, code: str, detail: str, line: int | None = None) -> None:
        self.findings.add(code, self.file.name, detail, line)

    def add_box(self, entry: ListedImage, box: RawBox) -> None:
        """Adds it to its image. Raises LimitReached."""
        self.boxes += 1
        require_boxes(self.file, self.boxes, box.line)
        add_box(entry, box)


@dataclass(slots=True)
class Matched:
    """`of`: image name -> what is stated about it. `doubtful`: images whose annotation is ambiguous."""

    of: dict[str, ListedImage] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    lost: int = 0
    findings: list[Finding] = field(default_factory=FindingList)


def match_listed(listed: Sequence[ListedImage], source: ExtractedArchive) -> Matched:
    """Each entry by the longest common end of its path and that of an image (`pipeline.formats.matching`)."""

    def entry_of(number: int) -> ListedEntry:
        entry = listed[number]
        return ListedEntry(entry.file.name, entry.name, entry.line)

    pairs = pair_listed(len(listed), entry_of, source)
    of = {name: listed[number] for name, number in pairs.of.items()}
    return Matched(of, pairs.doubtful, pairs.lost, pairs.findings)


def dataset_of(
    source: ExtractedArchive,
    name: str,
    kind: str,
    matched: Matched,
    findings: list[Finding],
    *,
    is_whole: bool = True,
) -> Dataset:
    """All images of the source in the order of their names, with what `matched` has for them.

    `is_whole`: every annotation file was read to its end. Otherwise its rest may be about any image.
    """
    images = images_of_set(source)
    items = tuple(item_of(image, matched.of.get(image.name)) for image in images)
    findings = [*findings, *matched.findings, *_unknown_parts(matched.of.values())]
    broken = matched.doubtful | {image for image, entry in matched.of.items() if not entry.usable}
    if not is_whole:
        broken = {image.name for image in images}
    return Dataset(kind, name, items, findings, frozenset(broken), lost=matched.lost)


def numeric_names_finding(labels: Iterable[str], report: Report, line: int | None = None) -> None:
    """A warning where nothing names the classes."""
    if why := why_without_names(labels):
        report.add("class-names-missing", why, line)


def why_without_names(labels: Iterable[str]) -> str | None:
    """A sentence where all labels are whole numbers, or ids of Open Images."""
    found = set(labels)
    if not found or not all(map(_NUMBER_OR_ID.fullmatch, found)):
        return None
    numbers = ", ".join(sorted(found, key=lambda label: (len(label), label))[:10])
    return f"The classes are numbers without names: {numbers}."


def split_of_value(text: str) -> str | None:
    """The part that a cell names, as written; None for a cell that states nothing."""
    return None if is_empty(text.strip()) or text.strip().lower() == _NO_SUBSET else text.strip()


def _unknown_parts(entries: Iterable[ListedImage]) -> Iterator[Finding]:
    """A warning for each file that states other parts than those of a split."""
    unknown: dict[str, list[str]] = {}
    for entry in entries:
        if entry.split and split_of_folder(entry.split) is None:
            unknown.setdefault(entry.file.name, []).append(entry.split)
    for name, values in unknown.items():
        parts = ", ".join(repr(value[:40]) for value in list(dict.fromkeys(values))[:5])
        detail = f"{counted(len(values), 'image has', 'images have')} a part of the split that is unknown: {parts}."
        yield Finding.of("split-value-unknown", name, detail)


def item_of(image: SourceFile, entry: ListedImage | None) -> Item:
    """`entry`: None for an image that no line names."""
    if entry is None:
        return Item(image, coordinates="edges")
    return Item(
        image,
        boxes=tuple(entry.boxes),
        split=split_of_folder(entry.split) if entry.split else None,
        annotation=entry.file.name,
        size=entry.size,
        size_line=entry.line,
        label=entry.label,
        coordinates=entry.coordinates,
    )
