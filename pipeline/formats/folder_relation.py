"""How close the folder of an annotation is to that of an image: equal, parallel, one level up or down, or farther."""

import re
from functools import lru_cache
from typing import NamedTuple

MAX_CANDIDATES = 1000  # images of one name whose folders are compared; with more, the name is ambiguous
SAME, PARALLEL, ONE_LEVEL, FAR = 4, 3, 2, 1
IMAGE_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "picture", "jpg", "jpegs"}
)
_IMAGE_WORDS = IMAGE_FOLDERS | {"jpeg", "png", "photo", "pics", "pic", "frames", "rgb"}
_LABEL_WORDS = frozenset(
    {"labels", "label", "annotations", "annotation", "annots", "annot", "annos", "anno", "ann", "xml", "xmls"}
    | {"txt", "txts", "gt", "bbox", "bboxes", "boxes", "yolo", "voc"}
)
# `trainlabels` and `JPEGImages` are two words each; digits are words of their own.
_ROLE = "labels?|annotations?|images?|jpe?gs?"
_WORDS = re.compile(rf"{_ROLE}|[^\W\d_]+?(?={_ROLE})|[^\W\d_]+|\d+")
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Relation(NamedTuple):
    """Compares like a tuple: the closer, the larger. `closeness`: number of leading and trailing parts in common."""

    degree: int
    closeness: int
    affinity: int


def relation(annotations: str, images: str) -> Relation:
    """Of two folders. Parallel folders differ in one part, whose words do not contradict (`labels`, `images`).

    `test` is not parallel to `train`: each has a word that the other lacks, besides those for labels and images.
    """
    if annotations == images:
        return Relation(SAME, len(_parts(images)), 0)
    first, second = _parts(annotations), _parts(images)
    leading, trailing = _common_ends(first, second)
    left, right = first[leading : len(first) - trailing], second[leading : len(second) - trailing]
    degree = FAR
    if len(left) == len(right) == 1:
        degree = PARALLEL if _is_parallel(left[0], right[0]) else FAR
    elif len(left) + len(right) == 1:
        degree = ONE_LEVEL
    return Relation(degree, leading + trailing, _affinity(left, right))


@lru_cache(maxsize=4096)
def _parts(folder: str) -> tuple[str, ...]:
    return () if folder == "." else tuple(folder.split("/"))


def _common_ends(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[int, int]:
    shortest = min(len(first), len(second))
    leading = next((at for at in range(shortest) if first[at] != second[at]), shortest)
    trailing = next((at for at in range(shortest - leading) if first[-1 - at] != second[-1 - at]), shortest - leading)
    return leading, trailing


def _is_parallel(left: str, right: str) -> bool:
    ours, theirs = _own_words(left), _own_words(right)
    related = bool(_words(left) & _LABEL_WORDS or _words(right) & _IMAGE_WORDS or ours & theirs)
    return related and not (ours - theirs and theirs - ours)


def _affinity(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """Two for each word in common, minus one for each that only one has; words for labels and images do not count."""
    ours = {word for part in left for word in _own_words(part)}
    theirs = {word for part in right for word in _own_words(part)}
    return 2 * len(ours & theirs) - len(ours ^ theirs)


@lru_cache(maxsize=4096)
def _words(part: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(_CAPITALS.sub(" ", part).lower()))


def _own_words(part: str) -> frozenset[str]:
    return _words(part) - _LABEL_WORDS - _IMAGE_WORDS
