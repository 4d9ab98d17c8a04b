"""Limits of what annotations hold, kept while they are read: a box takes a hundred times the bytes of its text."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from core.domain import limits
from core.domain.findings import Finding
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import RawBox


class Annotated(Protocol):
    """What an annotation file holds about one image."""

    @property
    def file(self) -> SourceFile: ...
    @property
    def boxes(self) -> list[RawBox]: ...


AnnotatedT = TypeVar("AnnotatedT", bound=Annotated)


class LimitReached(Exception):
    """The annotations hold more than is accepted; no more of them is read. Carries the error."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.detail)


def add_box(annotated: Annotated, box: RawBox) -> None:
    """Raises LimitReached above MAX_BOXES_PER_IMAGE."""
    require_boxes_of_image(annotated.file, len(annotated.boxes) + 1, box.line)
    annotated.boxes.append(box)


def require_boxes_of_image(file: SourceFile, count: int, line: int | None) -> None:
    """Raises LimitReached above MAX_BOXES_PER_IMAGE."""
    if count > limits.MAX_BOXES_PER_IMAGE:
        detail = f"An image has more than {limits.MAX_BOXES_PER_IMAGE} boxes; no more of them is read."
        raise LimitReached(Finding.of("boxes-too-many", file.name, detail, line=line))


def require_boxes(file: SourceFile, count: int, line: int | None = None) -> None:
    """`count`: the boxes so far. Raises LimitReached above MAX_BOXES."""
    if count > limits.MAX_BOXES:
        detail = f"Up to here the dataset has {count} boxes; at most {limits.MAX_BOXES} are accepted."
        raise LimitReached(Finding.of("boxes-too-many", file.name, detail, line=line))


def require_entries(file: SourceFile, count: int, line: int | None = None) -> None:
    """`count`: the images listed so far. Raises LimitReached above MAX_LISTED_IMAGES."""
    if count > limits.MAX_LISTED_IMAGES:
        detail = f"The file lists more than {limits.MAX_LISTED_IMAGES} images."
        raise LimitReached(Finding.of("entries-too-many", file.name, detail, line=line))


def limited(annotations: Iterable[AnnotatedT]) -> Iterator[AnnotatedT]:
    """The annotations, each of one image, while their boxes are few enough. Raises LimitReached above MAX_BOXES."""
    count = 0
    for annotated in annotations:
        count += len(annotated.boxes)
        require_boxes(annotated.file, count)
        yield annotated
