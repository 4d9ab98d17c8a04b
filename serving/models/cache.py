"""Files of exports on this machine, by their digest: fetched once, checked whenever they are read, and bounded."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import structlog

from core import clock
from core.domain.errors import ModelNotServable
from core.services.models.served import Served
from core.storage import ObjectCorrupt, ObjectMissing, ObjectStore
from core.storage.free_space import require_free

PART_SECONDS = 3600.0  # what a process that was killed had fetched so far is removed after this time

log = structlog.get_logger(__name__)


class ExportCache:
    """Safe for several threads. `max_bytes`: above it, the files used least recently are removed."""

    def __init__(self, store: ObjectStore, folder: Path, *, max_bytes: int, reserve_bytes: int) -> None:
        self._store, self._folder = store, folder
        self._max_bytes, self._reserve_bytes = max_bytes, reserve_bytes

    def file_of(self, served: Served) -> Path:
        """Raises ModelNotServable for a file that is not the certified one, OutOfSpace, Unavailable."""
        folder = self._folder / served.sha256
        target = folder / served.file_name
        if not _is_whole(target, served.sha256):
            self._fetch(served, target)
        with suppress(FileNotFoundError):  # removed by another process: whoever opens it fetches it again
            os.utime(folder)  # the time by which the least recently used ones are known
        self._remove_beyond(keep=folder)
        return target

    def _fetch(self, served: Served, target: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        require_free(self._folder, served.bytes, reserve_bytes=self._reserve_bytes)
        partial = self._folder / f"{served.sha256}.{uuid4().hex}.part"  # two exports may have the same bytes
        try:
            stored = self._store.fetch(served.key, partial)
            if stored.sha256 != served.sha256:
                detail = f"The stored export of {served.name} is not the one that was certified."
                raise ModelNotServable(detail, name=served.name, export_id=served.export_id)
            target.parent.mkdir(exist_ok=True)
            partial.replace(target)
        except (ObjectMissing, ObjectCorrupt) as error:
            detail = f"The export of {served.name} is missing or damaged in the object store."
            raise ModelNotServable(detail, name=served.name, export_id=served.export_id) from error
        finally:
            partial.unlink(missing_ok=True)

    def _remove_beyond(self, *, keep: Path) -> None:
        _remove_parts(self._folder)
        found = sorted(_sizes(self._folder))
        total = sum(size for _, _, size in found)
        for _, folder, size in found:
            if total <= self._max_bytes:
                return
            if folder != keep:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
                log.info("export.uncached", sha256=folder.name, bytes=size)


def _remove_parts(folder: Path) -> None:
    for part in folder.glob("*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < clock.now_ms() / 1000 - PART_SECONDS:
                part.unlink()


def _sizes(folder: Path) -> Iterator[tuple[float, Path, int]]:
    """When each was used last, and its bytes; other threads and processes remove some meanwhile."""
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            if each.is_dir():
                yield each.stat().st_mtime, each, sum(file.stat().st_size for file in each.iterdir())


def _is_whole(file: Path, sha256: str) -> bool:
    """A disk may damage a file, and a crash may leave half of one."""
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return False
    if found != sha256:
        log.warning("export.damaged", file=str(file))
    return found == sha256
