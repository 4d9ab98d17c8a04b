"""A ready job whose set has an image index: of given images, whose bytes lie one after the other in its object."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.db.tables import JobRow
from core.domain.keys import dataset_key, image_index_key
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage
from pipeline.index.write import write_index
from tests.builders import rows
from tests.builders.published import put

CLASSES = ("ball", "cube", "cone")


def indexed_image(path: str, content: bytes = b"", **changes: Any) -> IndexedImage:
    image = IndexedImage(
        path=path,
        name=f"images/train/{path}",
        row=None,
        sha256=hashlib.sha256(content or path.encode()).hexdigest(),
        phash=None,
        split="train",
        label=None,
        width=96,
        height=64,
        format="JPEG",
        at=0,
        bytes=len(content),
        brightness=0.5,
        blur=0.5,
        box_count=0,
        boxes=(),
    )._replace(**changes)
    return image._replace(box_count=len(image.boxes))


def box(class_id: int, x1: float, y1: float, x2: float, y2: float) -> Box:
    """In pixels."""
    return Box(class_id, *(round(edge * 1000) for edge in (x1, y1, x2, y2)), False)


def indexed_job(
    platform: Platform,
    images: Mapping[IndexedImage, bytes],
    *,
    classes: Sequence[str] = CLASSES,
    findings: Sequence[tuple[str, str | None]] = (),
    kind: str = "detection",
    with_index: bool = True,
    project: str | None = None,
) -> JobRow:
    """`findings`: (code, path of the image)."""
    claim = rows.claimed_job(platform, project=project)
    fingerprint = hashlib.sha256(claim.id.encode()).hexdigest()
    tar = put(platform, dataset_key(2, fingerprint), b"".join(images.values()) or b"empty")
    index: tuple[Any, ...] = (None, None)
    if with_index:
        with tempfile.TemporaryDirectory() as folder:
            write_index(_placed(images), Path(folder, "index"))
            stored = platform.store.put(image_index_key(2, fingerprint, f"{claim.id}-1"), Path(folder, "index"))
        index = (stored.key, stored.bytes)
    numbers = Counter(code for code, _ in findings)
    counts = {code: {"severity": "warning", "count": number} for code, number in numbers.items()}
    found = [
        {"code": code, "severity": "warning", "path": "a", "line": 1, "detail": "d", "remedy": "r", "image": path}
        for code, path in findings
    ]
    row = preparing.complete_job(
        platform.db,
        claim,
        preparing.ValidationResult(kind, "voc", list(classes), len(images), counts, found),
        preparing.PreparedSet(fingerprint, 2, *tar, *index),
        content_fingerprint="c" * 64,
        metadata_key=f"jobs/{claim.id}/1/dataset_metadata.json",
        metadata_sha256="2" * 64,
        is_stored=lambda _key: True,
    )
    assert row is not None
    return row


def _placed(images: Mapping[IndexedImage, bytes]) -> list[IndexedImage]:
    placed, at = [], 0
    for image, content in images.items():
        placed.append(image._replace(at=at, bytes=len(content)))
        at += len(content)
    return sorted(placed, key=lambda image: image.path)
