"""What both stores share: copy bytes while hashing them, and probe the store."""

import errno
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.domain.errors import OutOfSpace, Unavailable
from core.domain.keys import probe_key
from core.storage import CHUNK_BYTES, ObjectCorrupt, ObjectExists, ObjectStore, StoredObject
from core.storage.locked_files import lock_file

_FULL = (errno.ENOSPC, errno.EDQUOT)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def write_durably(chunks: Iterable[bytes], target: Path) -> tuple[int, str]:
    """Write a new file and sync it to the disk. Returns its size and its sha256."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        lock_file(file)
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def chunks_of_parts(store: ObjectStore, parts: Sequence[StoredObject]) -> Iterator[bytes]:
    """The bytes of several objects, one after the other. Raises `ObjectCorrupt` after one that has changed."""
    for part in parts:
        digest, size = hashlib.sha256(), 0
        for chunk in store.open(part.key):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if (size, digest.hexdigest()) != (part.bytes, part.sha256):
            raise ObjectCorrupt(f"{part.key}: {size} bytes, sha256 {digest.hexdigest()}; {part.sha256} was stored")


def fetch_whole(chunks: Iterable[bytes], path: Path, *, key: str, size: int, sha256: str) -> str:
    """Write a local file that appears only once its size and, where one is known, its sha256 are verified.

    Returns the sha256. Raises `ObjectCorrupt`, `OutOfSpace`.
    """
    partial = partial_beside(path)
    try:
        with naming_full_disk(path.parent):
            got_size, got_sha256 = write_durably(chunks, partial)
        require_same(key, (got_size, got_sha256), (size, sha256))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return got_sha256


def partial_beside(path: Path) -> Path:
    """A new name in the same folder, hidden: for a file that is renamed to `path` once it is verified."""
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")


def require_same(key: str, got: tuple[int, str], expected: tuple[int, str]) -> None:
    """Compares size and sha256, which is empty where it is not known. Raises `ObjectCorrupt`."""
    (got_size, got_sha256), (size, sha256) = got, expected
    if got_size != size or (sha256 and got_sha256 != sha256):
        raise ObjectCorrupt(f"{key}: {got_size} bytes, sha256 {got_sha256}; expected {size}, {sha256 or 'unknown'}")


def same_or_refused(known: StoredObject, sha256: str) -> StoredObject:
    """The answer of a put whose key is taken. Raises `ObjectExists` unless it is taken by the same bytes."""
    if known.sha256 != sha256:
        raise ObjectExists(known.key)
    return known


@contextmanager
def naming_full_disk(folder: Path) -> Iterator[None]:
    """Raise `OutOfSpace` for a full disk or quota; every other error passes."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace(f"The disk of {folder} is full.") from error
        raise


def probe_by_use(store: ObjectStore) -> None:
    """Write, read and delete a small object. Raises `Unavailable` or `OutOfSpace`.

    The key is new each time: an object that a crash leaves is an orphan, which retention deletes.
    """
    key, text = probe_key(secrets.token_hex(8)), secrets.token_bytes(16)
    with tempfile.NamedTemporaryFile(prefix="darkroom-probe-") as file:
        file.write(text)
        file.flush()
        store.put(key, Path(file.name))
    read = b"".join(store.open(key))
    store.delete_prefix(key)
    if read != text:
        raise Unavailable("The object store returned other bytes than were stored.", service="store")
