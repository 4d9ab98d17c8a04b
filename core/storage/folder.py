"""The directory store: an object is the file `<root>/<key>`, readable without this program.

Beside the objects lie `.temp/` (files being written; the same file system, so that a hard link publishes them)
and `.sha256/`, a note of each object's digest under the hash of its key. A note is valid only while the file has the
size and the time that it was made for: it is a cache, and one lost in a crash is made again.

A file that is taken, or an object that is lent, has one more name, and its bytes are not copied (decision 62).
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from core import clock
from core.domain.errors import RangeInvalid, Unavailable
from core.storage import CHUNK_BYTES, ObjectCorrupt, ObjectMissing, StoredObject, checked_key, checked_prefix
from core.storage.free_space import require_free
from core.storage.hard_links import link_lent, link_taken, prune, publish, synced
from core.storage.locked_files import remove_leftovers
from core.storage.transfer import (
    chunks_of,
    chunks_of_parts,
    fetch_whole,
    naming_full_disk,
    partial_beside,
    probe_by_use,
    require_same,
    same_or_refused,
    sha256_of,
    write_durably,
)

_CLEAR_EVERY_SECONDS = 600.0  # removes the partial files of processes that died


class FolderStore:
    """Safe for any number of processes on one machine."""

    def __init__(self, root: Path, *, reserve_bytes: int = 0) -> None:
        """An object is refused that would not leave `reserve_bytes` of the disk free: rows must still be written."""
        self._root = root.resolve()
        self._reserve_bytes = reserve_bytes
        self._temp = self._root / ".temp"
        self._notes = self._root / ".sha256"
        self._clear_at = 0.0

    def put(
        self,
        key: str,
        path: Path,
        *,
        sha256: str | None = None,
        media_type: str = "application/octet-stream",  # noqa: ARG002 - a file has no place for it
    ) -> StoredObject:
        if (known := self.head(key)) is not None:
            return same_or_refused(known, sha256 or sha256_of(path))
        with path.open("rb") as source:
            return self._write(key, chunks_of(source), sha256, size=path.stat().st_size)

    def take(
        self,
        key: str,
        path: Path,
        *,
        sha256: str | None = None,
        media_type: str = "application/octet-stream",
    ) -> StoredObject:
        if (known := self.head(key)) is not None:
            return same_or_refused(known, sha256 or sha256_of(path))
        with self._answering(), self._temporary() as partial:
            if link_taken(path, partial):
                made_for, digest = synced(partial)
                return self._name(key, partial, made_for, digest, expected=sha256)
        return self.put(key, path, sha256=sha256, media_type=media_type)

    def join(
        self,
        key: str,
        parts: Sequence[StoredObject],
        *,
        sha256: str | None,
        media_type: str,  # noqa: ARG002 - a file has no place for it
        scratch: Path,  # noqa: ARG002 - it is written where it stays
    ) -> StoredObject:
        if (known := self.head(key)) is not None:
            return same_or_refused(known, sha256 or known.sha256)
        return self._write(key, chunks_of_parts(self, parts), sha256, size=sum(part.bytes for part in parts))

    def _write(self, key: str, chunks: Iterable[bytes], sha256: str | None, *, size: int) -> StoredObject:
        checked_key(key)
        with self._answering(), self._temporary() as partial:
            self._require_room(size)
            _, digest = write_durably(chunks, partial)
            return self._name(key, partial, partial.stat(), digest, expected=sha256)

    def _name(
        self, key: str, partial: Path, made_for: os.stat_result, digest: str, *, expected: str | None
    ) -> StoredObject:
        """Publish a file that is on the disk, with a note of its digest."""
        if expected not in (None, digest):
            raise ObjectCorrupt(f"{key}: the bytes have sha256 {digest}, {expected} was promised")
        if not publish(partial, self._root / key):
            return same_or_refused(self._require(key), digest)  # another put was faster
        self._write_note(key, made_for, digest)
        return StoredObject(key, made_for.st_size, digest)

    def _require_room(self, size: int) -> None:
        """Raises OutOfSpace. An object of less than a megabyte is always tried: reports and logs are wanted then."""
        if size >= CHUNK_BYTES and self._reserve_bytes:
            require_free(self._temp, size, reserve_bytes=self._reserve_bytes)

    def fetch(self, key: str, path: Path) -> StoredObject:
        known = self._require(key)
        chunks = self.open(key)
        sha256 = fetch_whole(chunks, path, key=key, size=known.bytes, sha256=known.sha256)
        return StoredObject(key, known.bytes, sha256)

    def lend(self, key: str, path: Path) -> StoredObject:
        known = self._require(key)
        partial = partial_beside(path)
        try:
            if not link_lent(self._root / key, partial):
                return self.fetch(key, path)
            with self._answering():
                digest = sha256_of(partial)
                require_same(key, (partial.stat().st_size, digest), (known.bytes, known.sha256))
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)  # also after a rename: of two names of one file it is none
        return known

    def head(self, key: str) -> StoredObject | None:
        path = self._root / checked_key(key)
        with self._answering():
            try:
                found = path.stat()
                if not path.is_file():
                    return None
                digest = self._read_note(key, found)
                if digest is None:
                    digest = sha256_of(path)
                    self._write_note(key, found, digest)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return StoredObject(key, found.st_size, digest)

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        stream = self._stream(self._root / checked_key(key), start, end)
        next(stream)  # up to its first, empty yield: errors of opening are raised by this call
        return stream

    def _stream(self, path: Path, start: int, end: int | None) -> Iterator[bytes]:
        with self._answering():
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectMissing(str(path.relative_to(self._root))) from error
        with file, self._answering():
            size = os.fstat(file.fileno()).st_size
            if start and start >= size:
                raise RangeInvalid(f"The file has {size} bytes.", bytes=size)
            left = (size if end is None else min(end + 1, size)) - start
            file.seek(start)
            yield b""
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk

    def delete_prefix(self, prefix: str) -> int:
        checked_prefix(prefix)
        deleted = 0
        with self._answering():
            for path in self._paths(prefix):
                path.unlink(missing_ok=True)
                self._note(self._key(path)).unlink(missing_ok=True)
                deleted += 1
                prune(path.parent, self._root)
        return deleted

    def list_prefix(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        with self._answering():
            for path in self._paths(checked_prefix(prefix) if prefix else ""):
                try:
                    modified = path.stat().st_mtime
                except FileNotFoundError:
                    continue  # deleted since
                yield self._key(path), datetime.fromtimestamp(modified, UTC)

    def measure(self, prefix: str) -> tuple[int, int]:
        sizes: list[int] = []
        with self._answering():
            for path in self._paths(checked_prefix(prefix)):
                with suppress(FileNotFoundError):  # deleted since
                    sizes.append(path.stat().st_size)
        return len(sizes), sum(sizes)

    def link(self, key: str, *, seconds: int, file_name: str) -> str | None:  # noqa: ARG002 - the protocol's
        return None

    def make_ready(self) -> bool:
        with self._answering():
            existed = self._root.is_dir()
            self._root.mkdir(parents=True, exist_ok=True)
        return not existed

    def probe(self) -> None:
        probe_by_use(self)

    def _require(self, key: str) -> StoredObject:
        known = self.head(key)
        if known is None:
            raise ObjectMissing(key)
        return known

    def _paths(self, prefix: str) -> Iterator[Path]:
        """Files of objects, sorted by key within a folder."""
        folder = self._root / prefix.rpartition("/")[0]
        for parent, folders, files in os.walk(folder, onerror=_raise_unless_missing):
            if Path(parent) == self._root:
                folders[:] = [name for name in folders if not name.startswith(".")]
            folders.sort()
            paths = (Path(parent, name) for name in sorted(files))
            yield from (path for path in paths if self._key(path).startswith(prefix))

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _note(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._notes / name[:2] / name

    def _read_note(self, key: str, found: os.stat_result) -> str | None:
        try:
            size, modified_ns, digest = json.loads(self._note(key).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return str(digest) if (size, modified_ns) == (found.st_size, found.st_mtime_ns) else None

    def _write_note(self, key: str, made_for: os.stat_result, digest: str) -> None:
        note, partial = self._note(key), self._new_partial()
        partial.write_text(json.dumps([made_for.st_size, made_for.st_mtime_ns, digest]))
        note.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(note)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A new name, removed at the end: what was published has another one."""
        partial = self._new_partial()
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _new_partial(self) -> Path:
        self._temp.mkdir(parents=True, exist_ok=True)
        if clock.monotonic() >= self._clear_at:
            self._clear_at = clock.monotonic() + _CLEAR_EVERY_SECONDS
            remove_leftovers(self._temp.iterdir())
        return self._temp / secrets.token_hex(16)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raises `OutOfSpace` for a full disk, `Unavailable` for one that fails, is read-only or denies access."""
        try:
            with naming_full_disk(self._root):
                yield
        except OSError as error:
            what = error.strerror or str(error)
            raise Unavailable(f"The object store's folder fails: {what}.", service="store") from error


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
