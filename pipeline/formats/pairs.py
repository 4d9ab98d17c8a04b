"""Pairs annotation files with images, and reports what has no partner."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.archive.unread_images import UnreadImages
from pipeline.formats.candidates import Reference
from pipeline.formats.matching import match


class PairedAnnotation(Protocol):
    """An annotation of one image. `image_name`, `folder`: those that it states, empty for none."""

    @property
    def file(self) -> SourceFile: ...
    @property
    def image_name(self) -> str: ...
    @property
    def folder(self) -> str: ...


AnnotationT = TypeVar("AnnotationT", bound=PairedAnnotation)


@dataclass(slots=True)
class Pairs(Generic[AnnotationT]):
    """`of`: annotation name -> image. `lost`: annotations with no image; `ambiguous`: with the images they could be of;
    `twice`: with an image that another annotation has; `of_others`: name of a lost annotation -> the image of its name,
    in a folder with annotations of its own."""

    of: dict[str, SourceFile] = field(default_factory=dict)
    lost: list[AnnotationT] = field(default_factory=list)
    ambiguous: list[tuple[AnnotationT, list[str]]] = field(default_factory=list)
    twice: list[tuple[AnnotationT, SourceFile]] = field(default_factory=list)
    of_others: dict[str, SourceFile] = field(default_factory=dict)

    @property
    def broken(self) -> set[str]:
        """Images whose annotation is ambiguous or in doubt."""
        return {image.name for _, image in self.twice} | {name for _, names in self.ambiguous for name in names}


def pair(annotations: list[AnnotationT], images: list[SourceFile]) -> Pairs[AnnotationT]:
    """Gives each image to at most one annotation, by the evidence of `pipeline.formats.matching`."""
    matches = match(len(annotations), lambda number: _reference(annotations[number]), images)
    pairs: Pairs[AnnotationT] = Pairs()
    for number, annotation in enumerate(annotations):
        name = annotation.file.name
        if image := matches.image_of.get(number):
            pairs.of[name] = image
        elif number in matches.ambiguous:
            pairs.ambiguous.append((annotation, [image.name for image in matches.ambiguous[number]]))
        elif other := matches.twice.get(number):
            pairs.twice.append((annotation, other))
        else:
            pairs.lost.append(annotation)
            if kept := matches.lost[number]:
                pairs.of_others[name] = kept
    return pairs


def _reference(annotation: PairedAnnotation) -> Reference:
    name = annotation.file.name
    folder = folder_of(name)
    return Reference(folder, folder, bare_of(base_of(name)), annotation.image_name, annotation.folder)


def pair_findings(pairs: Pairs[AnnotationT], source: ExtractedArchive) -> Iterator[Finding]:
    unread = UnreadImages(source.left_out)
    for annotation in pairs.lost:
        named = f", and none named {annotation.image_name[:200]!r}" if annotation.image_name else ""
        detail = f"The archive has no image with the name of this annotation{named}."
        if why := unread.why(annotation.image_name, bare_of(base_of(annotation.file.name))):
            yield Finding.of("image-kind-unread", annotation.file.name, why)
            continue
        if image := pairs.of_others.get(annotation.file.name):
            detail = f"{image.name} has this name, but its folder has annotations of its own."
        yield Finding.of("image-missing", annotation.file.name, detail)
    for annotation, names in pairs.ambiguous:
        detail = f"The annotation could belong to several images: {', '.join(names[:5])}."
        yield Finding.of("image-ambiguous", annotation.file.name, detail)
    for annotation, image in pairs.twice:
        detail = f"{image.name} already has another annotation."
        yield Finding.of("image-annotated-twice", annotation.file.name, detail)
