"""Pairs annotations with images: by the path of the annotation first, by the file name in it second."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Generic, Protocol, TypeVar

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.source import SourceFile

_MAX_CANDIDATES = 1000  # images with one name whose folders are compared; with more, the name is ambiguous
_IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "jpg", "jpegs"})


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
    `twice`: with an image that another annotation has."""

    of: dict[str, SourceFile] = field(default_factory=dict)
    lost: list[AnnotationT] = field(default_factory=list)
    ambiguous: list[tuple[AnnotationT, list[str]]] = field(default_factory=list)
    twice: list[tuple[AnnotationT, SourceFile]] = field(default_factory=list)

    @property
    def broken(self) -> set[str]:
        """Images whose annotation is ambiguous or in doubt."""
        return {image.name for _, image in self.twice} | {name for _, names in self.ambiguous for name in names}


# One image without a list around it: for each of 100,000 images a list would take 70 bytes.
_OneOrMore = SourceFile | list[SourceFile]


class _Index:
    """Images by folder and key, and by key alone; a key is a file name with or without its suffix."""

    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._images = images
        self._here: dict[str, _OneOrMore] = {}
        self.folders: dict[tuple[int, str], list[str]] = defaultdict(list)
        for image in images:
            _add(self._here, image.name, image)
            if (bare := bare_of(image.name)) != image.name:
                _add(self._here, bare, image)
        for folder in sorted({folder_of(image.name) for image in images}):
            for position, shortened in _shortened(folder):
                self.folders[position, shortened].append(folder)

    def here(self, folder: str, key: str) -> list[SourceFile]:
        return _listed(self._here.get(key if folder == "." else f"{folder}/{key}"))

    def anywhere(self, key: str) -> list[SourceFile]:
        return _listed(self._anywhere.get(key))

    @cached_property
    def _anywhere(self) -> dict[str, _OneOrMore]:
        """Built on first use: most annotations are paired before it is needed."""
        index: dict[str, _OneOrMore] = {}
        for image in self._images:
            base = base_of(image.name)
            for key in {base, bare_of(base)}:
                _add(index, key, image)
        return index


def _add(index: dict[str, _OneOrMore], key: str, image: SourceFile) -> None:
    found = index.setdefault(key, image)
    if isinstance(found, list):
        found.append(image)
    elif found is not image:
        index[key] = [found, image]


def _listed(found: _OneOrMore | None) -> list[SourceFile]:
    return found if isinstance(found, list) else [found] if found else []


def pair(annotations: list[AnnotationT], images: list[SourceFile]) -> Pairs[AnnotationT]:
    """Gives each image to one annotation, in rounds over all annotations, the strongest match first.

    By the annotation's own name, then by the file name in it; each in the same folder, in a folder that differs in one
    part (`annotations` for `images`), one level up or down, and last the only or nearest one anywhere.
    """
    index = _Index(images)
    pairs: Pairs[AnnotationT] = Pairs()
    taken: dict[str, int] = {}
    waiting = annotations
    contested: dict[str, SourceFile] = {}
    for number, (keys_of, search) in enumerate(_ROUNDS):
        left: list[AnnotationT] = []
        for annotation in waiting:
            found = [image for key in keys_of(annotation) for image in search(annotation, key, index)]
            free = _narrow(annotation, [image for image in found if image.name not in taken])
            if len(free) == 1:
                taken[free[0].name] = number
                pairs.of[annotation.file.name] = free[0]
            elif free:
                pairs.ambiguous.append((annotation, [image.name for image in free[:5]]))
            else:
                # An equal match that came second. A weaker one would not be about this image.
                if found and taken[found[0].name] == number:
                    contested[annotation.file.name] = found[0]
                left.append(annotation)
        waiting = left
    for annotation in waiting:
        if annotation.file.name in contested:
            pairs.twice.append((annotation, contested[annotation.file.name]))
        else:
            pairs.lost.append(annotation)
    return pairs


def _own_name(annotation: PairedAnnotation) -> list[str]:
    return [bare_of(base_of(annotation.file.name))]


def _file_name(annotation: PairedAnnotation) -> list[str]:
    named = PurePosixPath(annotation.image_name)
    return list(dict.fromkeys((named.name, named.stem))) if annotation.image_name else []


def _here(annotation: PairedAnnotation, key: str, index: _Index) -> list[SourceFile]:
    return index.here(folder_of(annotation.file.name), key)


def _beside(annotation: PairedAnnotation, key: str, index: _Index) -> list[SourceFile]:
    siblings = _shortened(folder_of(annotation.file.name))
    return _in_folders([other for sibling in siblings for other in index.folders.get(sibling, ())], key, index)


def _near(annotation: PairedAnnotation, key: str, index: _Index) -> list[SourceFile]:
    return _in_folders(_one_level(folder_of(annotation.file.name), index), key, index)


def _anywhere(annotation: PairedAnnotation, key: str, index: _Index) -> list[SourceFile]:
    return nearest(folder_of(annotation.file.name), index.anywhere(key)[: _MAX_CANDIDATES + 1])


_ROUNDS = tuple((keys, search) for keys in (_own_name, _file_name) for search in (_here, _beside, _near, _anywhere))


def _in_folders(folders: Iterable[str], key: str, index: _Index) -> list[SourceFile]:
    return [image for folder in dict.fromkeys(folders) for image in index.here(folder, key)]


@lru_cache(maxsize=1024)
def _shortened(folder: str) -> list[tuple[int, str]]:
    """(position, rest) of the folder without one of its parts, last part first: equal for sibling folders."""
    parts = PurePosixPath(folder).parts
    return [(at, "/".join((*parts[:at], *parts[at + 1 :]))) for at in reversed(range(len(parts)))]


def _one_level(folder: str, index: _Index) -> list[str]:
    """Folders with one part less, or one part more, than `folder`."""
    less = [shortened or "." for _, shortened in _shortened(folder)]
    depth = len(PurePosixPath(folder).parts)
    own = "" if folder == "." else folder
    more = [other for at in range(depth + 1) for other in index.folders.get((at, own), ())]
    return list(dict.fromkeys(less + more))


def nearest(folder: str, images: list[SourceFile]) -> list[SourceFile]:
    """The images whose folder shares the most leading and trailing parts with `folder`."""
    if len(images) <= 1 or len(images) > _MAX_CANDIDATES:
        return images
    scores = [_closeness(folder, folder_of(image.name)) for image in images]
    return [image for image, score in zip(images, scores, strict=True) if score == max(scores)]


def _closeness(left: str, right: str) -> int:
    """How many leading and trailing parts two folders share."""
    first, second = PurePosixPath(left).parts, PurePosixPath(right).parts
    shortest = min(len(first), len(second))
    leading = next((at for at in range(shortest) if first[at] != second[at]), shortest)
    trailing = next((at for at in range(shortest - leading) if first[-1 - at] != second[-1 - at]), shortest - leading)
    return leading + trailing


def _narrow(annotation: PairedAnnotation, found: list[SourceFile]) -> list[SourceFile]:
    """By the exact file name, then by the folder that it states, then by a folder with a usual name for images."""
    tests = (
        lambda path: path.name == annotation.image_name,
        lambda path: bool(annotation.folder) and path.parent.name == PurePosixPath(annotation.folder).name,
        lambda path: path.parent.name.lower() in _IMAGE_FOLDERS,
    )
    found = list({image.name: image for image in found}.values())
    for test in tests if len(found) > 1 else ():
        kept = [image for image in found if test(PurePosixPath(image.name))]
        if kept:
            found = kept
        if len(found) == 1:
            break
    return found


def pair_findings(pairs: Pairs[AnnotationT]) -> Iterator[Finding]:
    for annotation in pairs.lost:
        named = f", and none named {annotation.image_name[:200]!r}" if annotation.image_name else ""
        detail = f"The archive has no image with the name of this annotation{named}."
        yield Finding.of("image-missing", annotation.file.name, detail)
    for annotation, names in pairs.ambiguous:
        detail = f"The annotation could belong to several images: {', '.join(names)}."
        yield Finding.of("image-ambiguous", annotation.file.name, detail)
    for annotation, image in pairs.twice:
        detail = f"{image.name} already has another annotation."
        yield Finding.of("image-annotated-twice", annotation.file.name, detail)
