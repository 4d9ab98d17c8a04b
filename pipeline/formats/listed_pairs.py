"""Pairs the entries of annotation files that list images by name with these, and reports what has no partner."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import folder_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.archive.unread_images import UnreadImages
from pipeline.formats.candidates import Reference
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.matching import Matches, match


class ListedEntry(NamedTuple):
    """`path`: of the file that lists the image `name`; `split`: the part of a split that this file is for."""

    path: str
    name: str
    line: int | None
    split: str | None = None


@dataclass(slots=True)
class ListedPairs:
    """`of`: image name -> number of its entry. `doubtful`: images whose annotation is ambiguous."""

    of: dict[str, int]
    doubtful: set[str] = field(default_factory=set)
    lost: int = 0
    findings: list[Finding] = field(default_factory=list)


def pair_listed(count: int, entry_of: Callable[[int], ListedEntry], source: ExtractedArchive) -> ListedPairs:
    """By the longest common end of paths, then by a folder named like the split, then the nearest to the file."""
    found = match(count, lambda number: _reference(entry_of(number)), images_of_set(source))
    unread = UnreadImages(source.left_out)
    pairs = ListedPairs({image.name: number for number, image in found.image_of.items()})
    pairs.lost = len(found.lost)
    for candidates in found.ambiguous.values():
        pairs.doubtful.update(image.name for image in candidates)
    pairs.doubtful.update(image.name for image in found.twice.values())
    for number in sorted((*found.lost, *found.ambiguous, *found.twice)):
        entry = entry_of(number)
        code, detail = _unpaired(number, entry, found, lambda image: entry_of(pairs.of[image.name]).path)
        if why := unread.why(entry.name) if number in found.lost else None:
            code, detail = "image-kind-unread", why
        pairs.findings.append(Finding.of(code, entry.path, detail, line=entry.line))
    return pairs


def _reference(entry: ListedEntry) -> Reference:
    return Reference(entry.path, folder_of(entry.path), stated=entry.name, split=entry.split, listed=True)


def _unpaired(number: int, entry: ListedEntry, found: Matches, path_of: Callable[[SourceFile], str]) -> tuple[str, str]:
    """(code, detail)."""
    name = repr(entry.name[:200])
    if candidates := found.ambiguous.get(number):
        return "image-ambiguous", f"{name} could be several images: {', '.join(each.name for each in candidates[:5])}."
    if image := found.twice.get(number):
        return "image-annotated-twice", f"{image.name} is already listed in {path_of(image)}."
    if other := found.lost[number]:
        detail = f"The image {name} is not in the archive; {other.name} belongs to another annotation file."
        return "image-missing", detail
    return "image-missing", f"The image {name} is not in the archive."
