"""Copying the objects of a store to another one. Keys are written once: what is there already is not copied again."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from core.storage import ObjectMissing, ObjectStore


class Copied(NamedTuple):
    """`is_new`: False where the other store had it with these bytes."""

    key: str
    bytes: int
    is_new: bool


def copy_objects(source: ObjectStore, target: ObjectStore, *, scratch: Path) -> Iterator[Copied]:
    """Each object is verified by its digest on both ways. One that is deleted meanwhile is passed over.

    Raises Unavailable, OutOfSpace, `ObjectCorrupt`, and `ObjectExists` where the target has other bytes under a key.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="backup-", dir=scratch) as folder:
        path = Path(folder) / "object"
        for key, _ in source.list_prefix(""):
            known, there = source.head(key), target.head(key)
            if known is None:
                continue
            if there is not None and there.sha256 and (there.bytes, there.sha256) == (known.bytes, known.sha256):
                yield Copied(key, known.bytes, is_new=False)
                continue
            try:
                stored = source.lend(key, path)
            except ObjectMissing:
                continue
            target.put(key, path, sha256=stored.sha256)
            path.unlink()
            yield Copied(key, stored.bytes, is_new=True)
