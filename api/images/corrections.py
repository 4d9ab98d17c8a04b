"""Corrections compared with the dataset that they are about, before they are kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from api.schemas.corrections import CorrectionBox, NewCorrections, NewImageCorrection
from core.db.tables import JobRow
from core.domain.errors import CorrectionInvalid
from core.services.jobs.corrections import NewCorrection
from pipeline.formats.text import class_name_fault, clean_label
from pipeline.index.read import ImageSize, find_paths

_MOST_ERRORS = 100
_MILLI = 1000


def fitting_corrections(job: JobRow, index: Path, body: NewCorrections) -> list[NewCorrection]:
    """Raises CorrectionInvalid, which names each that does not fit."""
    sizes = find_paths(index, {each.image for each in body.corrections})
    known = None if body.new_classes else set(job.classes or ())
    errors = [
        {"field": f"corrections.{at}.{field}", "message": message, "image": each.image[:300]}
        for at, each in enumerate(body.corrections)
        for field, message in _faults(each, sizes.get(each.image), str(job.kind), known)
    ]
    if errors:
        first = errors[0]
        more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        detail = f"{first['image']}: {first['message']}.{more}"
        raise CorrectionInvalid(detail, job_id=job.id, errors=errors[:_MOST_ERRORS])
    return [NewCorrection(each.image, sizes[each.image].sha256, _clean(each), each.note) for each in body.corrections]


def _faults(
    each: NewImageCorrection, size: ImageSize | None, kind: str, classes: set[str] | None
) -> Iterator[tuple[str, str]]:
    """(field, message) of each."""
    if size is None:
        yield "image", "the dataset has no image with this path"
        return
    if each.label is not None:
        if kind != "classification":
            yield "label", "the dataset has boxes: give boxes"
        elif fault := _class_fault(each.label, classes):
            yield "label", fault
    if each.boxes is not None and kind != "detection":
        yield "boxes", "the dataset has classes of whole images: give label"
    elif each.boxes is not None:
        for at, box in enumerate(each.boxes):
            if fault := _class_fault(box.class_, classes) or _box_fault(box, size):
                yield f"boxes.{at}", fault


def _class_fault(name: str, classes: set[str] | None) -> str | None:
    cleaned = clean_label(name)
    fault = class_name_fault(cleaned) if cleaned else ("", "the name of the class is empty")
    if fault:
        return fault[1]
    if classes is not None and cleaned not in classes:
        return f"the dataset has no class {cleaned[:100]!r}; new_classes accepts new ones"
    return None


def _box_fault(box: CorrectionBox, size: ImageSize) -> str | None:
    x1, y1, x2, y2 = (round(edge * _MILLI) for edge in (box.x1, box.y1, box.x2, box.y2))
    if x1 >= x2 or y1 >= y2:
        return "the box has no area: x1 must be below x2, and y1 below y2"
    if x2 > size.width * _MILLI or y2 > size.height * _MILLI:
        return f"the box reaches beyond the image, which has {size.width} x {size.height} pixels"
    return None


def _clean(each: NewImageCorrection) -> dict[str, Any]:
    change = each.change()
    if each.label is not None:
        change["label"] = clean_label(each.label)
    boxes: Sequence[dict[str, Any]] = change.get("boxes", ())
    for box in boxes:
        box["class"] = clean_label(box["class"])
    return change
