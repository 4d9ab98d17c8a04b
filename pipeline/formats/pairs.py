"""Which image an annotation is about: by its place and name first, by the file name it gives second."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Generic, Protocol, TypeVar

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import Item

_MAX_CANDIDATES = 1000  # images of one name that are compared by their place; beyond, it is ambiguous
_IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "photos", "jpg", "jpegs"})


class PairClaim(Protocol):
    """An annotation of one image. `image_name` and `folder`: what it says itself, empty for nothing."""

    @property
    def file(self) -> SourceFile: ...
    @property
    def image_name(self) -> str: ...
    @property
    def folder(self) -> str: ...


Annotation = TypeVar("Annotation", bound=PairClaim)


@dataclass(slots=True)
class Pairs(Generic[Annotation]):
    """`of`: annotation name -> image. The rest are annotations and what went wrong."""

    of: dict[str, SourceFile] = field(default_factory=dict)
    lost: list[Annotation] = field(default_factory=list)
    ambiguous: list[tuple[Annotation, list[str]]] = field(default_factory=list)
    twice: list[tuple[Annotation, SourceFile]] = field(default_factory=list)

    @property
    def broken(self) -> set[str]:
        """Images of which nobody can say what is in them."""
        return {image.name for _, image in self.twice} | {name for _, names in self.ambiguous for name in names}


# A list for each of 100,000 images would take 70 bytes to hold one of them.
_Few = SourceFile | list[SourceFile]


class _Index:
    """Images by folder and key, and by key alone; a key is a stem or a whole base name."""

    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._images = images
        self._here: dict[str, _Few] = {}
        self.folders: dict[tuple[int, str], list[str]] = defaultdict(list)
        for image in images:
            _add(self._here, image.name, image)
            if (bare := bare_of(image.name)) != image.name:
                _add(self._here, bare, image)
        for folder in sorted({folder_of(image.name) for image in images}):
            for position, hollow in _hollowed(folder):
                self.folders[position, hollow].append(folder)

    def here(self, folder: str, key: str) -> list[SourceFile]:
        return _listed(self._here.get(key if folder == "." else f"{folder}/{key}"))

    def anywhere(self, key: str) -> list[SourceFile]:
        return _listed(self._anywhere.get(key))

    @cached_property
    def _anywhere(self) -> dict[str, _Few]:
        """Made when it is asked for: most annotations have their image where it is looked for first."""
        index: dict[str, _Few] = {}
        for image in self._images:
            base = base_of(image.name)
            for key in {base, bare_of(base)}:
                _add(index, key, image)
        return index


def _add(index: dict[str, _Few], key: str, image: SourceFile) -> None:
    there = index.setdefault(key, image)
    if isinstance(there, list):
        there.append(image)
    elif there is not image:
        index[key] = [there, image]


def _listed(found: _Few | None) -> list[SourceFile]:
    return found if isinstance(found, list) else [found] if found else []


def pair(annotations: list[Annotation], images: list[SourceFile]) -> Pairs[Annotation]:
    """Each image goes to one annotation, the strongest claims first: round by round over all annotations.

    By the annotation's own name, then by the file name it gives; each in the same folder, in a folder that
    differs in one part (`annotations` for `images`), one level up or down, and last the only or nearest one anywhere.
    """
    index = _Index(images)
    pairs: Pairs[Annotation] = Pairs()
    taken: dict[str, int] = {}
    waiting = annotations
    claimed: dict[str, SourceFile] = {}
    for number, (keys_of, places) in enumerate(_ROUNDS):
        left: list[Annotation] = []
        for annotation in waiting:
            found = [image for key in keys_of(annotation) for image in places(annotation, key, index)]
            free = _narrow(annotation, [image for image in found if image.name not in taken])
            if len(free) == 1:
                taken[free[0].name] = number
                pairs.of[annotation.file.name] = free[0]
            elif free:
                pairs.ambiguous.append((annotation, [image.name for image in free[:5]]))
            else:
                # An equal claim that came second; a weaker one was never about this image.
                if found and taken[found[0].name] == number:
                    claimed[annotation.file.name] = found[0]
                left.append(annotation)
        waiting = left
    for annotation in waiting:
        if annotation.file.name in claimed:
            pairs.twice.append((annotation, claimed[annotation.file.name]))
        else:
            pairs.lost.append(annotation)
    return pairs


def _own_name(annotation: PairClaim) -> list[str]:
    return [bare_of(base_of(annotation.file.name))]


def _file_name(annotation: PairClaim) -> list[str]:
    named = PurePosixPath(annotation.image_name)
    return list(dict.fromkeys((named.name, named.stem))) if annotation.image_name else []


def _here(annotation: PairClaim, key: str, index: _Index) -> list[SourceFile]:
    return index.here(folder_of(annotation.file.name), key)


def _beside(annotation: PairClaim, key: str, index: _Index) -> list[SourceFile]:
    places = _hollowed(folder_of(annotation.file.name))
    return _in_folders([other for place in places for other in index.folders.get(place, ())], key, index)


def _near(annotation: PairClaim, key: str, index: _Index) -> list[SourceFile]:
    return _in_folders(_one_level(folder_of(annotation.file.name), index), key, index)


def _anywhere(annotation: PairClaim, key: str, index: _Index) -> list[SourceFile]:
    return nearest(folder_of(annotation.file.name), index.anywhere(key)[: _MAX_CANDIDATES + 1])


_ROUNDS = tuple((keys, places) for keys in (_own_name, _file_name) for places in (_here, _beside, _near, _anywhere))


def _in_folders(folders: Iterable[str], key: str, index: _Index) -> list[SourceFile]:
    return [image for folder in dict.fromkeys(folders) for image in index.here(folder, key)]


@lru_cache(maxsize=1024)
def _hollowed(folder: str) -> list[tuple[int, str]]:
    """The folder with each one of its parts left out, last first: what its siblings have in common with it."""
    parts = PurePosixPath(folder).parts
    return [(at, "/".join((*parts[:at], *parts[at + 1 :]))) for at in reversed(range(len(parts)))]


def _one_level(folder: str, index: _Index) -> list[str]:
    """Folders with one part less, or one part more, than `folder`."""
    less = [hollow or "." for _, hollow in _hollowed(folder)]
    depth = len(PurePosixPath(folder).parts)
    own = "" if folder == "." else folder
    more = [other for at in range(depth + 1) for other in index.folders.get((at, own), ())]
    return list(dict.fromkeys(less + more))


def nearest(folder: str, images: list[SourceFile]) -> list[SourceFile]:
    """Those whose folder shares most leading and trailing parts with `folder`."""
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


def _narrow(annotation: PairClaim, found: list[SourceFile]) -> list[SourceFile]:
    """By the very file name, then by the folder it gives, then by a folder that is called like one of images."""
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


def pair_findings(pairs: Pairs[Annotation]) -> Iterator[Finding]:
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


def background_notes(items: tuple[Item, ...], doubtful: set[str]) -> Iterator[Finding]:
    bare = [item.image.name for item in items if item.annotation is None and item.image.name not in doubtful]
    stems = {bare_of(name) for name in bare}
    annotated = {stem for item in items if item.annotation and (stem := bare_of(item.image.name)) in stems}
    for name in bare:
        if bare_of(name) in annotated:
            detail = "The annotation belongs to another image with this name; this one is used as background."
            yield Finding.of("image-same-stem", name, detail)
        else:
            detail = "The image has no annotation and is used as background: an image with no objects."
            yield Finding.of("image-without-annotation", name, detail)
