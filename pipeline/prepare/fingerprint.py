"""The canonical manifest: a dataset as bytes that anyone can reproduce. Its sha256 is the fingerprint.

JSON in UTF-8, keys sorted, no spaces; images sorted by path (NFC, posix, relative to the deepest folder that holds
them all); boxes sorted, as [class index, x1, y1, x2, y2, difficult] in 1/1000 px of the upright image; or, of kind
classification, the class index of the whole image as `label`.

Two digests: `fingerprint` is the sha256 of the whole; `content_fingerprint` that of the same manifest without
`layout`, `reading`, `split_rule` and each image's `split`, so it stays equal when only the split differs.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.dataset.model import READING, DatasetImage
from pipeline.dataset.split import SPLIT_RULE
from pipeline.dataset.validated import Digests
from pipeline.layouts import LAYOUTS

SCHEMA = "darkroom-manifest/1"
_encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))  # once, not for each image
HOW = (
    "sha256 of manifest.json in the prepared dataset; content_fingerprint: of the same without the keys layout, "
    "reading and split_rule and without each image's split"
)


def write_manifest(
    images: list[DatasetImage], classes: list[str], splits: dict[str, str], target: Path, *, kind: str = "detection"
) -> Digests:
    """Writes it in parts, never as a whole in memory. Returns both digests."""
    whole, content = hashlib.sha256(), hashlib.sha256()
    with target.open("wb") as file:
        for part, same_without_split in _parts(images, classes, splits, kind):
            file.write(part)
            whole.update(part)
            content.update(same_without_split)
    return Digests(whole.hexdigest(), content.hexdigest())


def _parts(
    images: list[DatasetImage], classes: list[str], splits: dict[str, str], kind: str
) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of a part of the manifest and the same part without splits."""
    head = _canonical({"classes": classes})[:-1] + b',"images":['
    yield head, head
    for number, image in enumerate(sorted(images, key=lambda image: image.path)):
        entry = (b"," if number else b"") + _canonical(_image(image))[:-1]
        yield entry + b',"split":"%b"}' % splits[image.path].encode(), entry + b"}"
    tail: dict[str, Any] = {"kind": kind, "schema": SCHEMA}
    rules = {
        "layout": {"name": LAYOUTS[kind].name, "version": LAYOUTS[kind].version},
        "reading": READING,
        "split_rule": SPLIT_RULE,
    }
    yield b"]," + _canonical(tail | rules)[1:], b"]," + _canonical(tail)[1:]


def _image(image: DatasetImage) -> dict[str, Any]:
    """Without its split, whose key is the last one."""
    boxes = [[*box[:5], int(box.difficult)] for box in image.boxes]
    return {
        **({"boxes": boxes} if image.label is None else {"label": image.label}),
        "path": image.path,
        "sha256": image.sha256,
    }


def _canonical(value: dict[str, Any]) -> bytes:
    # `classes` < `images` < `kind` < `layout` < `reading` < `schema` < `split_rule`: the parts keep the keys sorted.
    return _encoder.encode(value).encode()
