"""Files that belong to a running process: it keeps them locked, and the kernel releases the lock when it dies.

So another process distinguishes a file in use from one that a kill left behind, whatever its name or age.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from core import clock

LEFTOVER_SECONDS = 600.0  # above the moment between making and locking; also for a file system without locks


def lock_file(file: IO[Any] | int) -> None:
    """Lock an open file or folder until it is closed, or until this process dies."""
    fcntl.flock(file, fcntl.LOCK_EX)


def lock_unless_locked(file: IO[Any] | int) -> None:
    """As `lock_file`; a file that another name or process has locked already stays as it is, and so does one that
    cannot be locked: NFS locks only what is open for writing. It is no leftover for LEFTOVER_SECONDS then."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file or a folder for the block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        lock_file(handle)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process that is alive has locked this file or folder. Raises FileNotFoundError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def remove_leftovers(paths: Iterable[Path], *, older_than_seconds: float = LEFTOVER_SECONDS) -> list[Path]:
    """Remove the files and folders that no process has locked and that were changed longer ago. Returns them."""
    before = clock.now().timestamp() - older_than_seconds
    removed = []
    for path in paths:
        with suppress(FileNotFoundError, PermissionError):  # removed by another process; another user's
            if path.lstat().st_mtime > before or path.is_symlink() or is_locked(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
            removed.append(path)
    return removed
