"""A file beside the SQLite database that only takes space: it is removed when the disk is nearly full.

Then rows can still be written: jobs and uploads can be deleted, which empties the disk, and running attempts keep their
leases. Uploads and stored objects leave more than this free; other programs, and the files of a training, may not.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import structlog

NEARLY_FULL_BYTES = 4 * 1024**2  # the write-ahead log grows to 4 MB before its pages are moved to the database

log = structlog.get_logger(__name__)


class ReserveFile:
    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def release_if_full(self) -> None:
        """Called before every transaction that writes; takes some microseconds."""
        with suppress(OSError):  # mostly: it has been released before
            if shutil.disk_usage(self._path.parent).free >= NEARLY_FULL_BYTES:
                return
            self._path.unlink()
            log.warning("reserve.released", bytes=self._size)

    def keep(self) -> None:
        """Make the file where it is missing and the disk has room for two of it. Does nothing on a full disk."""
        free = shutil.disk_usage(self._path.parent).free
        if self._path.exists() or free < 2 * self._size + NEARLY_FULL_BYTES:
            return
        partial = self._path.with_name(f"{self._path.name}.part")
        with suppress(OSError):  # filled meanwhile, or read-only: the next round tries again
            _allocate(partial, self._size)
            partial.replace(self._path)
            return
        partial.unlink(missing_ok=True)


def _allocate(path: Path, size: int) -> None:
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(os.urandom(size))  # macOS; zeros may be compressed away
