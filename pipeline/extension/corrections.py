"""Corrections as they are stored: a JSON object, path of the image -> what is to be changed."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pipeline.dataset.growth import Correction, NamedBox

_MILLI = 1000


class CorrectedBox(BaseModel):
    """Edges in pixels of the upright image."""

    model_config = ConfigDict(extra="forbid")

    label: str
    x1: float
    y1: float
    x2: float
    y2: float


class Change(BaseModel):
    """Exactly one of the fields is given."""

    model_config = ConfigDict(extra="forbid")

    boxes: list[CorrectedBox] | None = None
    label: str | None = None
    remove: bool = False


CHANGES: TypeAdapter[dict[str, Change]] = TypeAdapter(dict[str, Change])


def read_changes(file: Path) -> dict[str, Correction]:
    """Raises ValueError for another content."""
    return {path: _correction(change) for path, change in CHANGES.validate_json(file.read_bytes()).items()}


def _correction(change: Change) -> Correction:
    boxes = None if change.boxes is None else tuple(map(_box, change.boxes))
    return Correction(boxes=boxes, label=change.label, remove=change.remove)


def _box(box: CorrectedBox) -> NamedBox:
    return NamedBox(box.label, *(round(edge * _MILLI) for edge in (box.x1, box.y1, box.x2, box.y2)))
