"""The names of files in the directory store: a second name in place of a copy, a published one, and those that go."""

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.storage.locked_files import lock_unless_locked

_LINK_ATTEMPTS = 5  # a delete may remove an empty folder between its creation and its use
_READING = 0o555  # the rights of a file that has two names


def link_taken(path: Path, partial: Path) -> bool:
    """Make a file read-only, with the rights and the time of one that the store writes now, and give it a second
    name. False: its bytes have to be copied. It lies on another file system or is another user's, say, or it has
    another name, so that a writer of that one would change the object.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            return False
        partial.touch()
        made = partial.stat()
        partial.unlink()
        if (found.st_uid, found.st_gid) != (made.st_uid, made.st_gid):
            return False
        path.chmod(stat.S_IMODE(made.st_mode) & _READING)
        os.utime(path)  # orphans are known by their age
        os.link(path, partial)
    except OSError:  # whatever else is wrong fails the copy, too, which names it
        return False
    return True


def synced(path: Path) -> tuple[os.stat_result, str]:
    """What a file was when its bytes were hashed, and their sha256; it is on the disk."""
    with path.open("rb") as file, ThreadPoolExecutor(1) as pool:
        lock_unless_locked(file)
        found = os.fstat(file.fileno())
        syncing = pool.submit(os.fsync, file.fileno())  # beside the hashing: 0.6 s less of 2.1 for 1.7 GB
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        syncing.result()
    return found, digest


def link_lent(target: Path, partial: Path) -> bool:
    """Give an object a second name, and make it read-only. False: its bytes have to be copied."""
    try:
        found = target.lstat()
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_mode & ~_READING & 0o777:
            target.chmod(stat.S_IMODE(found.st_mode) & _READING)
        os.link(target, partial)
    except OSError:  # whatever else is wrong fails the copy, too, which names it
        return False
    return True


def publish(partial: Path, target: Path) -> bool:
    """Give the finished file its name; False: the name is taken. One system call, so that one of several puts wins."""
    for attempt in range(_LINK_ATTEMPTS):
        _make_durable_folders(target.parent)
        try:
            os.link(partial, target)
            break
        except FileExistsError:
            return False
        except FileNotFoundError:
            if attempt == _LINK_ATTEMPTS - 1:
                raise
    _sync_folder(target.parent)
    return True


def _make_durable_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_durable_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A new name in a folder survives a power cut only after the folder itself is synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prune(folder: Path, root: Path) -> None:
    """Remove folders that became empty, up to the root."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return  # not empty, or already gone
        folder = folder.parent
