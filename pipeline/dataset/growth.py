"""The next revision of a dataset: what it is now, without what is taken out, with what is corrected and added.

Images are the same by content. No image changes its split, classes keep their ids, and new ones come after them. An
image that comes back after it was taken out has the split that it had.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from core.domain.findings import FindingList
from pipeline.archive.plural import counted
from pipeline.dataset.class_order import in_class_order
from pipeline.dataset.model import SPLITS, Box, DatasetImage
from pipeline.dataset.placement import Content, place
from pipeline.dataset.split import split_added

_DIGITS = (8, 16, 64)  # of the sha256, in the name of an image whose path is taken


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A corrected box: edges in 1/1000 px of the upright image."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True, slots=True)
class Correction:
    """Of one image: its boxes or its label as they are to be, or that it is taken out."""

    boxes: tuple[NamedBox, ...] | None = None
    label: str | None = None
    remove: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """`images`: with their split as `given_split`, and class ids that count `classes`; `removed`: content -> split of
    images that earlier revisions had."""

    kind: str
    images: list[DatasetImage]
    classes: list[str]
    removed: Mapping[Content, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Additions:
    """`images`: as an upload alone reads them, with its split, if it gives one, as `given_split`; `remove`: paths."""

    images: Sequence[DatasetImage] = ()
    classes: Sequence[str] = ()
    remove: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Grown:
    """`replaced`, `added`, `left_out`: numbers of images."""

    revision: Revision
    findings: FindingList
    replaced: int
    added: int
    left_out: int


def grow(
    before: Revision,
    additions: Additions,
    corrections: Mapping[str, Correction],
    *,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Grown:
    """`corrections`: by path. `fractions`: of val and test, by default those of `before`. `check` may raise to stop."""
    findings = FindingList()
    classes = _classes(before, additions, corrections, findings)
    kept = _without(before.images, {*additions.remove, *_taken_out(corrections)}, findings)
    _report_unknown(before.images, additions.remove, findings)
    kept = _corrected(kept, corrections, {name: number for number, name in enumerate(classes)}, findings)
    renumbered = [_renumbered(image, additions.classes, classes) for image in additions.images]
    kept, new, replaced = _matched(kept, renumbered, classes, findings)
    removed = _removed(before, kept)
    placed, left_out = _placed(kept, new, removed, fractions, seed, findings, check)
    named = _with_own_paths(placed, {image.path.casefold() for image in kept}, findings)
    images = [*kept, *named]
    _report_dropped(classes, images, findings)
    back = {image.sha256 for image in named}
    removed = {content: split for content, split in removed.items() if content.sha256 not in back}
    revision = Revision(before.kind, images, classes, removed)
    return Grown(revision, findings, replaced, len(named), left_out)


def _classes(
    before: Revision, additions: Additions, corrections: Mapping[str, Correction], findings: FindingList
) -> list[str]:
    """Those of before, then the new ones that an image has."""
    of_images = {additions.classes[number] for image in additions.images for number in image.class_ids}
    of_corrections = {box.label for each in corrections.values() for box in each.boxes or ()}
    of_corrections |= {each.label for each in corrections.values() if each.label is not None}
    new = in_class_order(before.kind, (of_images | of_corrections).difference(before.classes))
    for number, name in enumerate(new, start=len(before.classes)):
        findings.add("extend-class-added", "", f"{name!r} is new and has the id {number}.")
    return [*before.classes, *new]


def _taken_out(corrections: Mapping[str, Correction]) -> Iterable[str]:
    return (path for path, each in corrections.items() if each.remove)


def _without(images: list[DatasetImage], paths: set[str], findings: FindingList) -> list[DatasetImage]:
    for image in images:
        if image.path in paths:
            detail = f"The image of {image.given_split} was taken out, with the sha256 {image.sha256[:16]}."
            findings.add("extend-image-removed", image.path, detail)
    return [image for image in images if image.path not in paths]


def _report_unknown(images: list[DatasetImage], remove: Sequence[str], findings: FindingList) -> None:
    known = {image.path for image in images}
    for path in sorted(set(remove) - known):
        findings.add("extend-remove-unknown", path, "There is no image with this path; nothing was taken out for it.")


def _corrected(
    images: list[DatasetImage],
    corrections: Mapping[str, Correction],
    ids: Mapping[str, int],
    findings: FindingList,
) -> list[DatasetImage]:
    corrected = []
    for image in images:
        change = corrections.get(image.path)
        if change is None or (change.boxes is None and change.label is None):
            corrected.append(image)
            continue
        boxes = tuple(sorted({Box(ids[b.label], b.x1, b.y1, b.x2, b.y2, False) for b in change.boxes or ()}))
        label = ids[change.label] if change.label is not None else None
        what = (
            f"{counted(len(image.boxes), 'box', 'boxes')} before, {len(boxes)} now."
            if label is None
            else f"The class is {change.label!r}."
        )
        findings.add("extend-image-corrected", image.path, what)
        corrected.append(replace(image, boxes=_keeping_difficult(image.boxes, boxes), label=label))
    return corrected


def _keeping_difficult(before: tuple[Box, ...], now: tuple[Box, ...]) -> tuple[Box, ...]:
    """A box that stays where it was stays difficult: corrections do not state it."""
    difficult = {box[1:5] for box in before if box.difficult}
    return tuple(box._replace(difficult=box[1:5] in difficult) for box in now)


def _renumbered(image: DatasetImage, names: Sequence[str], classes: Sequence[str]) -> DatasetImage:
    ids = {number: classes.index(names[number]) for number in image.class_ids}
    boxes = tuple(sorted(box._replace(class_id=ids[box.class_id]) for box in image.boxes))
    return replace(image, boxes=boxes, label=None if image.label is None else ids[image.label])


def _matched(
    kept: list[DatasetImage], added: list[DatasetImage], classes: Sequence[str], findings: FindingList
) -> tuple[list[DatasetImage], list[DatasetImage], int]:
    """(the images that stay, with the annotations that came again; those that are new, each content once; the number
    of images whose annotations were replaced)."""
    there: dict[str, list[int]] = defaultdict(list)
    for at, image in enumerate(kept):
        there[image.sha256].append(at)
    images, replaced = list(kept), 0
    new: dict[str, DatasetImage] = {}
    for image in sorted(added, key=lambda each: each.path):
        if (first := new.get(image.sha256)) is not None:
            findings.add("extend-image-known", image.name, f"The same bytes as {first.name}, which is added.")
            continue
        if image.sha256 not in there:
            new[image.sha256] = image
            continue
        for at in there[image.sha256]:
            if not _states_other(image, images[at]):
                findings.add("extend-image-known", image.name, f"The same bytes as {images[at].path}: nothing changes.")
                continue
            old, new_marks = (_marks(each, classes) for each in (images[at], image))
            detail = f"The same bytes as {images[at].path} of the dataset, with other annotations: {old} before, "
            detail += f"{new_marks} now."
            findings.add("extend-annotations-replaced", image.name, detail)
            images[at] = replace(images[at], boxes=image.boxes, label=image.label)
            replaced += 1
    return images, list(new.values()), replaced


def _states_other(image: DatasetImage, before: DatasetImage) -> bool:
    """An image without an annotation states nothing about one that has some."""
    if image.label is None and image.annotation is None:
        return False
    return (image.boxes, image.label) != (before.boxes, before.label)


def _marks(image: DatasetImage, classes: Sequence[str]) -> str:
    if image.label is not None:
        return f"class {classes[image.label]!r}"
    return "1 box" if len(image.boxes) == 1 else f"{len(image.boxes)} boxes"


def _removed(before: Revision, kept: list[DatasetImage]) -> dict[Content, str]:
    there = {image.sha256 for image in kept}
    gone = {_content(image): str(image.given_split) for image in before.images if image.sha256 not in there}
    return {**before.removed, **gone}


def _placed(
    kept: list[DatasetImage],
    new: list[DatasetImage],
    removed: Mapping[Content, str],
    fractions: Mapping[str, float] | None,
    seed: int,
    findings: FindingList,
    check: Callable[[], None],
) -> tuple[list[DatasetImage], int]:
    """(the new images with their splits, the number of those that are left out)."""
    if not new:
        return [], 0
    splits = {content.sha256: split for content, split in removed.items()}
    back = [image for image in new if image.sha256 in splits]
    fixed = dict(removed)
    for image in kept:  # of the same content in two splits, which only an upload can bring, the stricter one counts
        fixed[_content(image)] = max(str(image.given_split), fixed.get(_content(image), "train"), key=SPLITS.index)
    unknown = [image for image in new if image.sha256 not in splits]
    found = place(fixed, map(_content, unknown), check)
    paths = {image.sha256: image.path for image in reversed([*kept, *new])}
    for image in unknown:
        if image.sha256 in found.tied:
            first, second = (paths.get(each, "an image that was taken out") for each in found.tied[image.sha256])
            detail = f"It resembles {first} of one split and {second} of another."
            findings.add("extend-split-tied", image.name, detail)
    splits |= found.splits
    decided = [*back, *(image for image in unknown if image.sha256 in found.splits)]
    placed = [replace(image, given_split=splits[image.sha256]) for image in decided]
    free = [image for image in unknown if image.sha256 in found.free]
    placed += _placed_freely(free, [*kept, *placed], found.free, fractions or _shares(kept), seed)
    return placed, len(found.tied)


def _placed_freely(
    free: list[DatasetImage],
    held: list[DatasetImage],
    groups: Mapping[str, str],
    fractions: Mapping[str, float],
    seed: int,
) -> list[DatasetImage]:
    """By the split that the upload gives, of a group by that which is held out furthest; the rest by fractions."""
    given: dict[str, str] = {}
    for image in free:
        if image.given_split:
            group = groups[image.sha256]
            given[group] = max(image.given_split, given.get(group, "train"), key=SPLITS.index)
    placed = [
        replace(image, given_split=given[groups[image.sha256]]) for image in free if groups[image.sha256] in given
    ]
    rest = [image for image in free if groups[image.sha256] not in given]
    if rest:
        held_out = {split: fractions.get(split, 0.0) for split in SPLITS[1:]}
        shares = {"train": 1.0 - sum(held_out.values()), **held_out}
        splits = split_added(rest, [*held, *placed], shares, seed=seed, groups=groups)
        placed += [replace(image, given_split=splits[image.path]) for image in rest]
    return placed


def _shares(images: list[DatasetImage]) -> dict[str, float]:
    counts = Counter(image.given_split for image in images)
    return {split: counts[split] / max(1, len(images)) for split in SPLITS[1:]}


def _with_own_paths(images: list[DatasetImage], taken: set[str], findings: FindingList) -> list[DatasetImage]:
    """Sorted by path. `taken`: paths in lower case."""
    named = []
    for image in sorted(images, key=lambda each: each.path):
        path = image.path
        if path.casefold() in taken:
            base = PurePosixPath(path)
            names = (f"{base.stem}-{image.sha256[:digits]}{base.suffix}" for digits in _DIGITS)
            path = next(p for p in (str(base.with_name(name)) for name in names) if p.casefold() not in taken)
            detail = f"The dataset has another image with this path; it is added as {path}."
            findings.add("extend-image-renamed", image.name, detail)
        taken.add(path.casefold())
        named.append(replace(image, path=path))
    return named


def _report_dropped(classes: Sequence[str], images: list[DatasetImage], findings: FindingList) -> None:
    present = {number for image in images for number in image.class_ids}
    for number, name in enumerate(classes):
        if number not in present:
            findings.add("extend-class-dropped", "", f"No image has {name!r} any more, whose id was {number}.")


def _content(image: DatasetImage) -> Content:
    return Content(image.sha256, image.phash)
