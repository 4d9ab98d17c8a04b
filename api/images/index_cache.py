"""Image indexes on this machine, fetched from the store when they are first asked for, and read in place.

<temp>/image-indexes/<name of the object>    its time is that of its last use
"""

import os
import threading
from pathlib import Path

import structlog

from core import clock
from core.db.tables import DatasetRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.uploads.room import UploadRoom
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.locked_files import remove_leftovers

SPARED_SECONDS = 60.0  # after its last use, in which a request may be about to open it

log = structlog.get_logger(__name__)


class IndexCache:
    """Shared by the processes of the API on this machine. Safe for threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._folder = platform.settings.temp / "image-indexes"
        self._max_bytes = platform.settings.image_index_cache_bytes
        self._fetching = threading.Lock()

    def path_of(self, dataset: DatasetRow) -> Path:
        """The local copy of the set's index. Raises OutOfSpace, Unavailable."""
        path = self._folder / str(dataset.index_key).rpartition("/")[2]
        if not _is_used(path):
            with self._fetching:  # one at a time: a page of requests asks for the same one
                if not _is_used(path):
                    self._fetch(dataset, path)
                    self._evict()
        return path

    def _fetch(self, dataset: DatasetRow, path: Path) -> None:
        room = UploadRoom(self._platform).for_body(dataset.index_bytes, is_stored=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._platform.store.fetch(str(dataset.index_key), path)
        except (ObjectMissing, ObjectCorrupt) as error:
            detail = "The image index is missing or damaged in the object store."
            raise Unavailable(detail, service="store") from error
        finally:
            room.close()
        log.info("image_index.fetched", fingerprint=dataset.fingerprint, bytes=dataset.index_bytes)

    def _evict(self) -> None:
        """The copies used least recently, until the rest fits, and what killed processes left of theirs."""
        remove_leftovers(self._folder.glob(".*.part"))
        copies = sorted((stat.st_mtime, stat.st_size, path) for path, stat in _copies(self._folder))
        total = sum(size for _, size, _ in copies)
        for used_at, size, path in copies:
            if total <= self._max_bytes or used_at > clock.now().timestamp() - SPARED_SECONDS:
                return
            path.unlink(missing_ok=True)
            total -= size
            log.info("image_index.evicted", name=path.name, bytes=size)


def _is_used(path: Path) -> bool:
    """Notes the use of a copy. False: there is none."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _copies(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for path in folder.glob("*.sqlite"):
        try:
            found.append((path, path.stat()))
        except FileNotFoundError:  # evicted by another process
            continue
    return found
