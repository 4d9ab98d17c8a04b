"""Room on a disk: its free space, less what was promised and is not written yet, less a reserve.

A promise is an empty (sparse) file in `<folder>/.promises` whose length is the bytes still to be written. Its process
locks it, so that the promise of a process that died counts no more. All processes that share the folder see the same
sum, and no database is asked.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from core.domain.errors import OutOfSpace, Unavailable
from core.storage.locked_files import is_locked, lock_file
from core.storage.transfer import naming_full_disk

PROMISES = ".promises"


def nothing() -> int:
    return 0


class Room:
    """The room on the disk of `folder`. Safe for threads and processes.

    `folder` is created at the first use. Whatever is granted leaves `reserve_bytes` free.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    @property
    def device(self) -> int:
        """Two folders with the same one share their free space."""
        with self._naming_failures():
            self._make_folder()
            return self._folder.stat().st_dev

    def promise(self, size: int, *, also: Callable[[], int] = nothing) -> "Promise":
        """Promise `size` bytes until the promise is closed. `also`: bytes that were promised elsewhere.

        Raises OutOfSpace, Unavailable.
        """
        with self._naming_failures():
            self._make_folder()
            with self._alone():
                self._require(size, also)
                return Promise(self, self._folder / PROMISES / uuid4().hex, size)

    def grow(self, promise: "Promise", size: int, *, also: Callable[[], int] = nothing) -> None:
        """Add `size` bytes to a promise; 0: ask whether the disk still has what was promised.

        Raises OutOfSpace, Unavailable.
        """
        with self._naming_failures(), self._alone():
            self._require(size, also)
            promise.resize(promise.bytes + size)

    def free_bytes(self) -> int:
        with self._naming_failures():
            self._make_folder()
            return shutil.disk_usage(self._folder).free

    def promised_bytes(self) -> int:
        """The sum of the promises in the folder; those of processes that died are removed."""
        with self._naming_failures():
            self._make_folder()
            with self._alone():
                return self._promised()

    def _require(self, size: int, also: Callable[[], int]) -> None:
        promised = self._promised()
        promised += also()  # read after the files: what moves from there to here is counted once at least
        needed, free = size + promised + self._reserve_bytes, self.free_bytes()
        if free < needed:
            raise OutOfSpace(
                f"{needed} bytes of the disk are needed: {size} for this, {promised} promised to other uploads and "
                f"{self._reserve_bytes} in reserve; {free} are free.",
                needed_bytes=needed,
                free_bytes=free,
                promised_bytes=promised,
            )

    def _promised(self) -> int:
        total = 0
        for path in (self._folder / PROMISES).iterdir():
            with suppress(FileNotFoundError):  # kept by now
                if is_locked(path):
                    total += path.stat().st_size
                else:
                    path.unlink()
        return total

    def _make_folder(self) -> None:
        (self._folder / PROMISES).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        """A disk that became read-only, say, is a service that does not answer."""
        try:
            with naming_full_disk(self._folder):
                yield
        except OSError as error:
            what = error.strerror or str(error)
            raise Unavailable(f"The disk of {self._folder} fails: {what}.", service="disk") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process and thread at a time asks and promises."""
        handle = os.open(self._folder / PROMISES, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


class Promise:
    """Bytes that a disk has room for, until `close`. Made by `Room.promise`, used by one thread at a time."""

    def __init__(self, room: Room, path: Path, size: int) -> None:
        self.bytes = size
        self._room = room
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            lock_file(self._handle)
            self.resize(size)
        except BaseException:
            self.close()
            raise

    def grow(self, size: int, *, also: Callable[[], int] = nothing) -> None:
        """Promise `size` bytes more; 0 asks again for what is left. Raises OutOfSpace."""
        self._room.grow(self, size, also=also)

    def written(self, size: int) -> None:
        """`size` of the promised bytes are on the disk now."""
        self.resize(max(0, self.bytes - size))

    def resize(self, size: int) -> None:
        self.bytes = size
        os.ftruncate(self._handle, size)

    def close(self) -> None:
        """Once."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)
