"""Repairs the items of a dataset: swaps, clips, scales and drops boxes, corrects sizes and names, drops broken items.

Each change is a finding whose code begins with `repair-`, with the path and line in the archive that was read.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from core.domain.findings import Finding, Severity
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.boxes import Frame, check_box, in_pixels, part_inside
from pipeline.dataset.declared_sizes import Drawn, doubtful_factor, fit, is_of_another_scale, where_drawn
from pipeline.dataset.model import Dataset, Item, RawBox, RepairedItem
from pipeline.dataset.validate import frame_of
from pipeline.decode.image_facts import SUFFIXES_OF, ImageFacts


class Repaired(NamedTuple):
    kept: list[RepairedItem]
    changes: list[Finding]


def repair_items(source: ExtractedArchive, dataset: Dataset, facts: list[ImageFacts]) -> Repaired:
    """`facts` belong to `dataset.items` by index. Nothing is guessed: what cannot be repaired is left out."""
    kept: list[RepairedItem] = []
    changes: list[Finding] = []
    drawn = where_drawn(pair for pair in zip(dataset.items, facts, strict=True) if not _why_left_out(*pair, dataset))
    unmatched = _unmatched(dataset)
    taken = {file.name.casefold() for file in source.files}
    for item, fact in zip(dataset.items, facts, strict=True):
        reason = _why_left_out(item, fact, dataset)
        if reason:
            detail = f"The image was left out: {reason}"
            changes.append(_change("repair-image-left-out", item.image.name, detail))
            continue
        if _may_lack_its_own(item, unmatched):
            detail = "The image was left out: an annotation that matches no image may belong to it."
            changes.append(_change("repair-image-left-out", item.image.name, detail))
            continue
        repaired_item, made = _repair_item(item, fact, taken, drawn)
        changes += made
        if repaired_item:
            kept.append(repaired_item)
    changes += _left_out_entries(dataset)
    changes += (
        _change("repair-junk-dropped", name, "The file is neither an image nor an annotation.")
        for name in source.left_out
    )
    return Repaired(kept, changes)


def _why_left_out(item: Item, fact: ImageFacts, dataset: Dataset) -> str | None:
    if dataset.kind == "classification" and not item.label:
        return "it is in no class folder or table."
    if fact.problem:
        return fact.problem[1]
    if item.image.name in dataset.broken:
        if item.annotation is None:
            return "its annotation is ambiguous or cannot be read."
        return f"its annotation has an error that only its author can correct ({item.annotation})."
    return None


class _Unmatched(NamedTuple):
    """Whether annotations without an image may be those that images lack: whole ones, or boxes of a COCO file."""

    annotations: bool
    boxes: bool


def _unmatched(dataset: Dataset) -> _Unmatched:
    """Only if there is at least one for each image without annotation: else most of these images are background."""
    bare = sum(item.annotation is None and not item.label for item in dataset.items)
    empty = sum(not item.boxes and not item.label for item in dataset.items)
    lost_boxes = sum(finding.code == "json-image-unknown" for finding in dataset.findings)
    return _Unmatched(bare <= dataset.lost, empty <= lost_boxes)


def _may_lack_its_own(item: Item, unmatched: _Unmatched) -> bool:
    if item.label:
        return False
    return (unmatched.annotations and item.annotation is None) or (unmatched.boxes and not item.boxes)


def _repair_item(
    item: Item, fact: ImageFacts, taken: set[str], drawn: Drawn
) -> tuple[RepairedItem | None, list[Finding]]:
    renamed = _renamed(item.image.name, fact, taken)
    name_changes = _name_changes(item, renamed)
    if item.annotation is None:  # background, or an image whose folder is its class
        return RepairedItem(_as(item, renamed, (), fact.upright), changed=False), name_changes
    frame, found = frame_of(item, fact, item.annotation)
    wrong_size = {finding.code for finding in found} & {"size-wrong", "size-missing"}
    drawn_on = _drawn_on(item, fact, drawn)
    if drawn.is_unproved and doubtful_factor(item, fact):
        detail = "The image was left out: its boxes may have been drawn on the declared size or on the image."
        return None, [_change("repair-image-left-out", item.image.name, detail)]
    doubtful = "size-wrong" in wrong_size and not drawn_on
    if drawn_on:
        frame = frame._replace(width=drawn_on[0], height=drawn_on[1])
    boxes, changes = _repair_boxes(item, frame, keep_part=not doubtful)
    if doubtful and any(change.code == "repair-box-dropped" for change in changes):
        detail = "The image was left out: its declared size is wrong, and its boxes do not fit the image."
        return None, [_change("repair-image-left-out", item.image.name, detail)]
    if item.boxes and not boxes:
        detail = "The image was left out: none of its boxes could be kept, and it would wrongly count as background."
        return None, [*changes, _change("repair-image-left-out", item.image.name, detail)]
    if drawn_on:
        boxes = [(origin, _scaled(box, drawn_on, fact.upright)) for origin, box in boxes]
        detail = f"The boxes were drawn on {drawn_on[0]} x {drawn_on[1]} pixels; they were scaled to the image."
        changes.append(_change("repair-boxes-rescaled", item.annotation, detail, item.size_line))
    if wrong_size:
        detail = f"The declared size was set to {fact.upright[0]} x {fact.upright[1]}."
        changes.append(_change("repair-size-fixed", item.annotation, detail, item.size_line))
    repaired_item = _as(item, renamed, tuple(box for _, box in boxes), fact.upright)
    changed = bool(changes) or renamed != item.image.name
    return RepairedItem(repaired_item, changed, tuple(origin for origin, _ in boxes)), name_changes + changes


def _drawn_on(item: Item, fact: ImageFacts, drawn: Drawn) -> tuple[int, int] | None:
    """The declared size, where the boxes were drawn on it: as in the dataset, unless they fit only the image.

    Boxes that fit neither reach beyond the declared size and are clipped to it.
    """
    if not drawn.on_declared or item.size is None or not is_of_another_scale(item, fact):
        return None
    return item.size if fit(item.boxes, *item.size) or not fit(item.boxes, *fact.upright) else None


def _scaled(box: RawBox, size: tuple[int, int], to: tuple[int, int]) -> RawBox:
    across, down = to[0] / size[0], to[1] / size[1]
    return box._replace(
        x1=round(box.x1 * across), y1=round(box.y1 * down), x2=round(box.x2 * across), y2=round(box.y2 * down)
    )


def _repair_boxes(item: Item, frame: Frame, *, keep_part: bool) -> tuple[list[tuple[int, RawBox]], list[Finding]]:
    """(index, box) of the boxes that are kept, and changes. `keep_part`: clip boxes that are mostly outside."""
    path = item.annotation or item.image.name
    kept: dict[tuple[str, int, int, int, int], tuple[int, RawBox]] = {}
    changes: list[Finding] = []
    for origin, box in enumerate(in_pixels(item.boxes, item.coordinates, frame.width, frame.height)):
        ordered = _swapped(box, frame)
        if ordered != box:
            changes.append(_box_change("repair-box-swapped", path, box, "The corners of the box were swapped."))
        checked, found = check_box(ordered, frame, path)
        if checked is None and keep_part and (part := part_inside(ordered, frame)):
            checked = part
            detail = "Most of the box was outside the image; the part inside was kept."
            changes.append(_box_change("repair-box-clipped", path, box, detail))
        elif checked is None:
            changes.append(_box_change("repair-box-dropped", path, box, found[0].detail.partition(": ")[2]))
            continue
        elif any(finding.code in ("box-clipped", "box-at-edge") for finding in found):
            changes.append(_box_change("repair-box-clipped", path, box, "The box was clipped to the image."))
        if checked[:5] in kept:
            changes.append(
                _box_change("repair-box-dropped", path, box, "The same box was listed twice; one was removed.")
            )
            continue
        kept[checked[:5]] = (origin, checked)
    return list(kept.values()), changes


def _swapped(box: RawBox, frame: Frame) -> RawBox:
    """Minimum and maximum in order. In 1-based pixels the edges are xmin - 1 and xmax, so the offset moves along."""
    corner = frame.corner
    if box.x2 - box.x1 < corner:
        box = box._replace(x1=box.x2 - corner, x2=box.x1 + corner)
    if box.y2 - box.y1 < corner:
        box = box._replace(y1=box.y2 - corner, y2=box.y1 + corner)
    return box


def _as(item: Item, name: str, boxes: tuple[RawBox, ...], size: tuple[int, int]) -> Item:
    return replace(item, image=replace(item.image, name=name), boxes=boxes, size=size, coordinates="edges")


def _renamed(name: str, fact: ImageFacts, taken: set[str]) -> str:
    """The name with the suffix of the content; unchanged if another file has that name."""
    suffixes = SUFFIXES_OF.get(fact.format, ())
    path = PurePosixPath(name)
    if not suffixes or path.suffix.lower() in suffixes:
        return name
    better = str(path.with_suffix(suffixes[0]))
    if better.casefold() in taken:
        return name
    taken.add(better.casefold())
    return better


def _name_changes(item: Item, name: str) -> list[Finding]:
    if name == item.image.name:
        return []
    return [_change("repair-image-renamed", item.image.name, f"The image was renamed to {PurePosixPath(name).name}.")]


def _left_out_entries(dataset: Dataset) -> Iterator[Finding]:
    """Entries with an error that is not about an item: no format made them part of one."""
    for finding in dataset.findings:
        if finding.severity is Severity.ERROR:
            yield _change(
                "repair-entry-left-out", finding.path, f"The entry was left out: {finding.detail}", finding.line
            )


def _box_change(code: str, path: str, box: RawBox, detail: str) -> Finding:
    return _change(code, path, f"{box.label[:100]!r}: {detail}", box.line)


def _change(code: str, path: str, detail: str, line: int | None = None) -> Finding:
    return Finding.of(code, path, detail, line=line)
