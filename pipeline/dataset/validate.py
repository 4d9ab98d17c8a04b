"""Validation of a raw dataset: which images and boxes are usable, and every finding about them, in one pass."""

from collections.abc import Iterator
from typing import NamedTuple

from core.domain import limits
from core.domain.findings import Finding, FindingList, Severity
from pipeline.archive.entry_names import suffix_of
from pipeline.dataset.boxes import Frame, check_boxes, in_pixels
from pipeline.dataset.class_order import in_class_order
from pipeline.dataset.declared_sizes import Drawn, doubtful_factor, where_drawn
from pipeline.dataset.frozen_images import Exclusion
from pipeline.dataset.model import Box, Dataset, DatasetImage, Item, RawBox, common_folder
from pipeline.dataset.set_findings import order_note, palette_note, set_findings
from pipeline.decode.image_facts import SUFFIXES, SUFFIXES_OF, ImageFacts, traits_of

_PALETTES = frozenset({"P", "PA"})
_Good = tuple[Item, ImageFacts, list[RawBox]]


class Checked(NamedTuple):
    """Usable images (given splits not yet checked), class names in id order, number of images read, findings.

    `excluded`: the number of images, not among those read, that match a frozen test image."""

    images: list[DatasetImage]
    classes: list[str]
    seen: int
    findings: list[Finding]
    excluded: int = 0


def check(
    dataset: Dataset,
    items: list[Item],
    facts: list[ImageFacts],
    exclusion: Exclusion | None = None,
    *,
    is_whole: bool = True,
) -> Checked:
    """Checks the `items` of `dataset`; `facts` belong to them by index. Images with an error are left out of `images`,
    and those of `exclusion`, as if they were not in the archive.

    Empties both lists: there may be 100,000 items, and none is needed after its image is built. `is_whole`: the items
    are a dataset, and not only what is added to one.
    """
    seen = len(items)
    findings = FindingList()
    good: list[_Good] = []
    palettes: list[str] = []
    classless = 0
    drawn = where_drawn(zip(items, facts, strict=True))
    for item, fact in _drain(items, facts):
        if dataset.kind == "classification" and not item.label:
            classless += 1
            findings.append(_classless(item))
            continue
        found = list(_check_image(item, fact))
        boxes: list[RawBox] = []
        broken = item.image.name in dataset.broken
        if not _has_error(found):
            boxes, box_findings = _check_item(item, fact, drawn)
            found += _without_size(box_findings) if broken and _is_unread(item) else box_findings
        findings += found
        if fact.mode in _PALETTES:
            palettes.append(item.image.name)
        if not _has_error(found) and not broken:
            good.append((item, fact, boxes))
    findings += palette_note(palettes)
    usable = len(good)
    if exclusion is not None:
        good, excluded = _without_frozen(good, exclusion)
        findings += excluded
    left_out = usable - len(good)
    classes = _class_names(dataset, good)
    root = len(common_folder([item.image.name for item, _, _ in good]))
    ids = {name: number for number, name in enumerate(classes)}
    good.reverse()
    images = [_image(*good.pop(), root=root, ids=ids) for _ in range(len(good))]
    if is_whole and (images or not _has_error(dataset.findings)):  # with no image left, the reasons for that are enough
        findings += set_findings(dataset, images, classes)
        findings += order_note(dataset, classes)
    return Checked(images, classes, seen - classless - left_out, findings, left_out)


def _without_frozen(good: list[_Good], exclusion: Exclusion) -> tuple[list[_Good], list[Finding]]:
    """Those that match no frozen test image, and a finding for each other one."""
    matches = exclusion.frozen.matches((item.image.sha256, fact.phash) for item, fact, _ in good)
    kept, findings = [], []
    for one in good:
        item = one[0]
        match = matches.get(item.image.sha256)
        is_own = exclusion.keeps_test and item.split == "test" and match is not None and match.bits is None
        if match is None or is_own:
            kept.append(one)
        else:
            how = "The same image as" if match.bits is None else "Looks almost the same as"
            detail = f"{how} {match.path} of the frozen test set; left out."
            findings.append(Finding.of("frozen-test-image", item.image.name, detail))
    return kept, findings


def _is_unread(item: Item) -> bool:
    """Whether its annotation could not be read at all."""
    return not item.boxes and item.size is None and item.size_line is None


def _without_size(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.code != "size-missing"]


def _drain(items: list[Item], facts: list[ImageFacts]) -> Iterator[tuple[Item, ImageFacts]]:
    """Pairs in their order, removed from both lists as they are read."""
    items.reverse()
    facts.reverse()
    while items:
        yield items.pop(), facts.pop()


def _class_names(dataset: Dataset, good: list[_Good]) -> list[str]:
    """In id order: that of the archive, then by code point in detection, in natural order in classification."""
    if dataset.kind == "classification":
        found = {item.label for item, _, _ in good if item.label}
    else:
        found = {box.label for _, _, boxes in good for box in boxes}
    names = in_class_order(dataset.kind, found)
    position = {name: at for at, name in enumerate(dataset.class_order)}
    return sorted(names, key=lambda name: position.get(name, len(position)))  # stable


def _classless(item: Item) -> Finding:
    return Finding.of(
        "image-without-class", item.image.name, "The image is in no class folder or table and is left out."
    )


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _check_image(item: Item, fact: ImageFacts) -> Iterator[Finding]:
    name = item.image.name
    if fact.problem:
        code, detail = fact.problem
        yield Finding.of(code, name, detail)
        return
    if item.image.bytes > limits.MAX_IMAGE_BYTES:
        detail = f"The image has {item.image.bytes} bytes; the limit is {limits.MAX_IMAGE_BYTES}."
        yield Finding.of("image-too-large", name, detail)
    if suffix_of(name) not in SUFFIXES_OF.get(fact.format, ()):
        detail = f"The file extension is {suffix_of(name)}, but the content is {fact.format}; it is read as that."
        yield Finding.of("image-extension", name, detail)
    yield from _mode_findings(name, fact)


def _mode_findings(name: str, fact: ImageFacts) -> Iterator[Finding]:
    if fact.frames > 1 and fact.format != "MPO":
        yield Finding.of("image-animated", name, f"{fact.frames} frames or pages; the first one is used.")
    if fact.mode == "CMYK":
        detail = "The image is in CMYK; it is converted to RGB without a colour profile."
        yield Finding.of("image-cmyk", name, detail)
    elif fact.is_deep:
        yield Finding.of("image-high-bit-depth", name, _depth_detail(fact))
    elif "A" in fact.mode:
        detail = f"The image has transparency (mode {fact.mode}), which trainers ignore."
        yield Finding.of("image-alpha", name, detail)
    elif fact.format not in SUFFIXES:
        yield Finding.of("image-converted", name, f"{fact.format} is converted to PNG for training.")
    if fact.odd:
        how = "it is converted to PNG" if fact.rewrite else "they are left out"
        detail = f"The file has {fact.odd}; {how} in the prepared dataset."
        yield Finding.of("image-odd-bytes", name, detail)


def _depth_detail(fact: ImageFacts) -> str:
    if fact.bits:
        reduced = f"Nearly all values in the dataset fit {fact.bits} bits, reduced to 8; larger ones are white."
    else:
        reduced = "The range between its smallest and its largest value is stretched to 8 bits."
    dark = " At least 99 % of its pixels are then below 16 of 255: the image is nearly black." if fact.dark else ""
    return f"More than 8 bits per channel (mode {fact.mode}). {reduced}{dark}"


def _check_item(item: Item, fact: ImageFacts, drawn: Drawn) -> tuple[list[RawBox], list[Finding]]:
    """Boxes in upright pixels, clipped, without duplicates."""
    path = item.annotation or item.image.name
    frame, findings = frame_of(item, fact, path)
    factor = None if drawn.on_image and not drawn.on_declared else doubtful_factor(item, fact)
    if factor:
        findings = [_scaled_size(item, factor, finding) for finding in findings]
    boxes, box_findings = check_boxes(in_pixels(item.boxes, item.coordinates, *fact.upright), frame, path)
    return boxes, findings + box_findings


def _scaled_size(item: Item, factor: float, finding: Finding) -> Finding:
    if finding.code != "size-wrong":
        return finding
    detail = f"{finding.detail} It is {factor:.4g} times the image: the boxes may have been drawn on either."
    return Finding.of("size-scaled", finding.path, detail, line=item.size_line)


def frame_of(item: Item, fact: ImageFacts, path: str) -> tuple[Frame, list[Finding]]:
    """The frame that the boxes of `item` refer to, and findings about the declared size.

    It is the upright image, as today's viewers and labelling tools display it. It is the stored one where the declared
    size is that of the stored image, or where no declared size is usable and the boxes fit the stored image only.
    """
    stored, upright, findings = (fact.width, fact.height), fact.upright, []
    size = item.size
    if fact.orientation != 1:
        findings.append(_exif_note(item, fact))
    if item.coordinates == "fractions":
        return Frame(*upright, corner=0), findings
    if item.annotation and size is None:
        detail = f"The declared size is missing or 0; the image has {upright[0]} x {upright[1]} pixels."
        findings.append(Finding.of("size-missing", path, detail, line=item.size_line))
    elif size and size not in (upright, stored):
        detail = f"The declared size is {size[0]} x {size[1]}; the image has {upright[0]} x {upright[1]} pixels."
        findings.append(Finding.of("size-wrong", path, detail, line=item.size_line))
        size = None
    by_stored = stored != upright and (size == stored or (size is None and _fit_only(item.boxes, stored, upright)))
    if by_stored:
        detail = f"The boxes refer to the stored pixels ({stored[0]} x {stored[1]}); they are rotated with the image."
        findings.append(Finding.of("boxes-rotated", path, detail, line=item.size_line))
    corner = 1000 if item.coordinates == "pixels" else 0
    return Frame(*upright, orientation=fact.orientation if by_stored else 1, corner=corner), findings


def _exif_note(item: Item, fact: ImageFacts) -> Finding:
    stored, upright = (fact.width, fact.height), fact.upright
    detail = f"EXIF orientation {fact.orientation}: the stored image is rotated or mirrored, and is read upright."
    known = item.coordinates == "fractions" or (stored != upright and item.size in (stored, upright))
    if item.boxes and not known and _fit(item.boxes, stored) and _fit(item.boxes, upright):
        detail += " Its boxes fit both, and no declared size decides: they were assumed to be drawn on the upright one."
    return Finding.of("image-exif-rotated", item.image.name, detail)


def _fit_only(boxes: tuple[RawBox, ...], stored: tuple[int, int], upright: tuple[int, int]) -> bool:
    return _fit(boxes, stored) and not _fit(boxes, upright)


def _fit(boxes: tuple[RawBox, ...], size: tuple[int, int]) -> bool:
    return all(box.x2 <= size[0] * 1000 and box.y2 <= size[1] * 1000 for box in boxes)


def _image(item: Item, fact: ImageFacts, boxes: list[RawBox], *, root: int, ids: dict[str, int]) -> DatasetImage:
    width, height = fact.upright
    checked = sorted(Box(ids[box.label], box.x1, box.y1, box.x2, box.y2, box.difficult) for box in boxes)
    return DatasetImage(
        path=item.image.name[root:],
        source=item.image,
        width=width,
        height=height,
        format=fact.format,
        converted=fact.converted,
        boxes=tuple(checked),
        given_split=item.split,
        phash=fact.phash,
        label=ids[item.label] if item.label else None,
        end=fact.end,
        brightness=fact.brightness,
        blur=fact.blur,
        annotation=item.annotation,
        traits=traits_of(fact),
    )
