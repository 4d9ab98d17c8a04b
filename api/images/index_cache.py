"""Image indexes on this machine, fetched from the store when they are first asked for, and read in place.

<temp>/image-indexes/<name of the object>    its time is that of its last use
                     diff-<digest>.sqlite    the difference of two of them
                     paired-<digest>.sqlite  two evaluations, image by image
                     answers-<digest>.sqlite an evaluation, image by image
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import structlog

from core import clock
from core.db.tables import DatasetRow, JobRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.uploads.room import UploadRoom
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.locked_files import remove_leftovers
from core.storage.transfer import naming_full_disk
from pipeline.index.diff import DIFF_VERSION, IndexedDataset, write_diff
from pipeline.index.read_diff import ComparedDatasets

SPARED_SECONDS = 60.0  # after its last use, in which a request may be about to open it

log = structlog.get_logger(__name__)


class IndexCache:
    """Shared by the processes of the API on this machine. Safe for threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._folder = platform.settings.temp / "image-indexes"
        self._max_bytes = platform.settings.image_index_cache_bytes
        self._fetching = threading.Lock()
        self._comparing = threading.Lock()  # not the other one: an index is fetched while two are compared

    def path_of(self, dataset: DatasetRow) -> Path:
        """The local copy of the set's index. Raises OutOfSpace, Unavailable."""
        path = self._folder / str(dataset.index_key).rpartition("/")[2]
        if not _is_used(path):
            with self._fetching:  # one at a time: a page of requests asks for the same one
                if not _is_used(path):
                    self._fetch(dataset, path)
                    self._evict()
        return path

    def compare(self, before: JobRow, after: JobRow, sets: tuple[DatasetRow, DatasetRow]) -> ComparedDatasets:
        """The difference of two jobs with these sets, computed where it was not before. Raises OutOfSpace, Unavailable.

        Two indexes never change, so neither does their difference.
        """
        first, second = (
            IndexedDataset(self.path_of(dataset), job.classes or [])
            for job, dataset in zip((before, after), sets, strict=True)
        )
        parts = (str(DIFF_VERSION), first.file.name, second.file.name)
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()
        compared = ComparedDatasets(self._folder / f"diff-{digest[:40]}.sqlite", first, second)

        def write(part: Path) -> None:
            for dataset in sets:  # one may have been evicted while others were compared
                self.path_of(dataset)
            write_diff(compared.before, compared.after, part)

        self.computed(compared.file.name, write, most_bytes=sum(dataset.index_bytes or 0 for dataset in sets))
        return compared

    def computed(self, name: str, write: Callable[[Path], None], *, most_bytes: int) -> Path:
        """The file of this name, which ends with `.sqlite`, written where it is not there: one at a time.

        `most_bytes`: on the disk, meanwhile. Raises OutOfSpace, Unavailable, and what `write` raises.
        """
        path = self._folder / name
        if not _is_used(path):
            with self._comparing:
                if not _is_used(path):
                    self._write(path, write, most_bytes=most_bytes)
                    self._evict()
        return path

    def _write(self, path: Path, write: Callable[[Path], None], *, most_bytes: int) -> None:
        room = UploadRoom(self._platform).for_body(most_bytes, is_stored=False)
        part = self._folder / f".{uuid4().hex}.part"
        started = clock.monotonic()
        try:
            with naming_full_disk(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                write(part)
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            room.close()
        log.info("comparison.computed", name=path.name, seconds=round(clock.monotonic() - started, 3))

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
