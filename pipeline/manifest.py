"""The canonical manifest: what a dataset is, as bytes that anyone can make again. Its sha256 is the fingerprint.

JSON in UTF-8, keys sorted, no spaces; pictures sorted by path (NFC, posix, relative to the deepest folder that holds
them all); boxes sorted, as [class index, x1, y1, x2, y2, difficult] in 1/1000 px of the upright picture; or, of kind
classification, the class index of the whole picture as `label`.

Two digests: `fingerprint` is the sha256 of the whole; `content_fingerprint` that of the same manifest without
`layout`, `split_rule` and each picture's `split`, so it stays equal when only the split is made otherwise.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.dataset import Picture
from pipeline.layouts import LAYOUTS
from pipeline.split import SPLIT_RULE

SCHEMA = "darkroom-manifest/1"
HOW = (
    "sha256 of manifest.json in the prepared dataset; content_fingerprint: of the same without the keys layout and "
    "split_rule and without each image's split"
)


class Digests(NamedTuple):
    fingerprint: str
    content_fingerprint: str


def digests(pictures: list[Picture], classes: list[str], splits: dict[str, str], *, kind: str = "detection") -> Digests:
    whole, content = hashlib.sha256(), hashlib.sha256()
    for part in manifest_parts(pictures, classes, splits, kind=kind):
        whole.update(part)
    for part in manifest_parts(pictures, classes, None, kind=kind):
        content.update(part)
    return Digests(whole.hexdigest(), content.hexdigest())


def manifest_parts(
    pictures: list[Picture], classes: list[str], splits: dict[str, str] | None, *, kind: str = "detection"
) -> Iterator[bytes]:
    """The manifest in parts, never as a whole in memory; without splits where `splits` is None."""
    head: dict[str, Any] = {"classes": classes}
    tail: dict[str, Any] = {"kind": kind, "schema": SCHEMA}
    if splits is not None:
        layout = LAYOUTS[kind]
        tail |= {"layout": {"name": layout.name, "version": layout.version}, "split_rule": SPLIT_RULE}
    yield _canonical(head)[:-1] + b',"images":['
    for number, picture in enumerate(sorted(pictures, key=lambda picture: picture.path)):
        yield (b"," if number else b"") + _canonical(_image(picture, splits))
    yield b"]," + _canonical(tail)[1:]


def _image(picture: Picture, splits: dict[str, str] | None) -> dict[str, Any]:
    boxes = [[*box[:5], int(box.difficult)] for box in picture.boxes]
    entry: dict[str, Any] = {
        **({"boxes": boxes} if picture.label is None else {"label": picture.label}),
        "path": picture.path,
        "sha256": picture.sha256,
    }
    return entry if splits is None else entry | {"split": splits[picture.path]}


def _canonical(value: dict[str, Any]) -> bytes:
    # `classes` < `images` < `kind` < `layout` < `schema` < `split_rule`: the parts above keep the keys sorted.
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
