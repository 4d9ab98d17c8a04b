"""Which picture an annotation is about: by its place and name first, by its <filename> second."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline.dataset import SourceFile
from pipeline.formats.voc_xml import Annotation

_MAX_CANDIDATES = 1000  # pictures of one name that are compared by their place; beyond, it is ambiguous
_PICTURE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "jpg", "jpegs"})


@dataclass(slots=True)
class Pairs:
    """`of`: annotation name -> image. The rest are names of annotations and what went wrong."""

    of: dict[str, SourceFile] = field(default_factory=dict)
    lost: list[Annotation] = field(default_factory=list)
    ambiguous: list[tuple[Annotation, list[str]]] = field(default_factory=list)
    twice: list[tuple[Annotation, SourceFile]] = field(default_factory=list)


class _Index:
    """Images by (folder, key) and by key alone; a key is a stem or a whole base name."""

    def __init__(self, images: Iterable[SourceFile]) -> None:
        self.here: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
        self.anywhere: dict[str, list[SourceFile]] = defaultdict(list)
        self.folders: dict[tuple[int, str], list[str]] = defaultdict(list)
        for image in images:
            path = PurePosixPath(image.name)
            for key in {path.stem, path.name}:
                self.here[str(path.parent), key].append(image)
                self.anywhere[key].append(image)
        for folder in sorted({folder for folder, _ in self.here}):
            for position, hollow in _hollowed(folder):
                self.folders[position, hollow].append(folder)


def pair(annotations: list[Annotation], images: list[SourceFile]) -> Pairs:
    """Each image goes to one annotation, the strongest claims first: round by round over all annotations.

    By the annotation's own name, then by its <filename>; each in the same folder, in a folder that differs in one
    part (`annotations` for `images`), one level up or down, and last the only or nearest one anywhere.
    """
    index = _Index(images)
    pairs = Pairs()
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
                # An equal claim that came second; a weaker one was never about this picture.
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


def _own_name(annotation: Annotation) -> list[str]:
    return [PurePosixPath(annotation.file.name).stem]


def _file_name(annotation: Annotation) -> list[str]:
    named = PurePosixPath(annotation.image_name)
    return list(dict.fromkeys((named.name, named.stem))) if annotation.image_name else []


def _here(annotation: Annotation, key: str, index: _Index) -> list[SourceFile]:
    return index.here.get((_folder(annotation), key), [])


def _beside(annotation: Annotation, key: str, index: _Index) -> list[SourceFile]:
    places = _hollowed(_folder(annotation))
    return _in_folders([other for place in places for other in index.folders.get(place, ())], key, index)


def _near(annotation: Annotation, key: str, index: _Index) -> list[SourceFile]:
    return _in_folders(_one_level(_folder(annotation), index), key, index)


def _anywhere(annotation: Annotation, key: str, index: _Index) -> list[SourceFile]:
    return _nearest(_folder(annotation), index.anywhere.get(key, [])[: _MAX_CANDIDATES + 1])


_ROUNDS = tuple((keys, places) for keys in (_own_name, _file_name) for places in (_here, _beside, _near, _anywhere))


def _folder(annotation: Annotation) -> str:
    return str(PurePosixPath(annotation.file.name).parent)


def _in_folders(folders: Iterable[str], key: str, index: _Index) -> list[SourceFile]:
    return [image for folder in dict.fromkeys(folders) for image in index.here.get((folder, key), ())]


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


def _nearest(folder: str, images: list[SourceFile]) -> list[SourceFile]:
    if len(images) <= 1 or len(images) > _MAX_CANDIDATES:
        return images
    scores = [_closeness(folder, str(PurePosixPath(image.name).parent)) for image in images]
    return [image for image, score in zip(images, scores, strict=True) if score == max(scores)]


def _closeness(left: str, right: str) -> int:
    """How many leading and trailing parts two folders share."""
    first, second = PurePosixPath(left).parts, PurePosixPath(right).parts
    shortest = min(len(first), len(second))
    leading = next((at for at in range(shortest) if first[at] != second[at]), shortest)
    trailing = next((at for at in range(shortest - leading) if first[-1 - at] != second[-1 - at]), shortest - leading)
    return leading + trailing


def _narrow(annotation: Annotation, found: list[SourceFile]) -> list[SourceFile]:
    """By the very <filename>, then by <folder>, then by a folder that is called like one of pictures."""
    tests = (
        lambda path: path.name == annotation.image_name,
        lambda path: bool(annotation.folder) and path.parent.name == PurePosixPath(annotation.folder).name,
        lambda path: path.parent.name.lower() in _PICTURE_FOLDERS,
    )
    found = list({image.name: image for image in found}.values())
    for test in tests if len(found) > 1 else ():
        kept = [image for image in found if test(PurePosixPath(image.name))]
        if kept:
            found = kept
        if len(found) == 1:
            break
    return found
