"""The files of a folder on this machine that the operator allows, without ever leaving it.

A path is opened part by part below the allowed folder, and no part may be a link: one that is exchanged for a link
meanwhile cannot be opened. A link to a file is followed by its resolved path, which has to lie in the allowed folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.domain.errors import ImportUnusable
from core.domain.limits import MAX_DEPTH
from pipeline.archive.extract import is_hidden
from worker.inputs.interruptible import Check

BLOCK_BYTES = 1024**2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is opened without waiting, then refused


@dataclass(frozen=True, slots=True)
class FolderFile:
    """`name`: below the requested folder; `path`: the parts of its path below the allowed one, links resolved."""

    name: str
    path: tuple[str, ...]
    bytes: int


class AllowedFolder:
    """`allowed`: a folder of the settings. `refuse(path)` may raise for a path where nothing is read.

    Methods raise ImportUnusable for what is not there, leads out, is special or may not be read.
    """

    def __init__(self, allowed: Path, refuse: Callable[[Path], None]) -> None:
        self._real = Path(os.path.realpath(allowed))
        self._refuse = refuse
        with _naming(allowed.as_posix()):
            self._root = os.open(self._real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    def files(self, wanted: Path, check: Check) -> Iterator[FolderFile]:
        """Every file in `wanted`, an absolute path, or that ZIP alone; sorted by folder. Hidden ones are left out."""
        path = self._inside(wanted, wanted.as_posix())
        with _naming(wanted.as_posix()):
            mode = self._stat(path)
        if stat.S_ISDIR(mode.st_mode):
            yield from self._below(wanted, path, (), check)
        elif not wanted.name.lower().endswith(".zip"):
            raise _unusable(wanted.as_posix(), "is neither a folder nor a ZIP")
        else:
            yield self._file(wanted.name, path, mode)

    def read(self, file: FolderFile, check: Check) -> Iterator[bytes]:
        with _naming(file.name):
            handle = self._open(file.path, _FILE)
            try:
                _require_regular(file.name, os.fstat(handle))
                while block := os.read(handle, BLOCK_BYTES):
                    check()
                    yield block
            finally:
                os.close(handle)

    def _below(self, wanted: Path, path: tuple[str, ...], parts: tuple[str, ...], check: Check) -> Iterator[FolderFile]:
        """`path`: of a folder, below the allowed one; `parts`: the same below `wanted`."""
        if len(parts) > MAX_DEPTH:
            raise _unusable("/".join(parts), f"lies more than {MAX_DEPTH} folders deep")
        with _naming("/".join(parts) or wanted.as_posix()):
            handle = self._open(path, _FOLDER)
            try:
                names = sorted(os.listdir(handle))  # noqa: PTH208 - of an open folder, not of a path
            finally:
                os.close(handle)
        for each in names:
            check()
            name = "/".join((*parts, each))
            if is_hidden(each):
                continue
            with _naming(name):
                found = self._stat((*path, each))
            if stat.S_ISDIR(found.st_mode):
                yield from self._below(wanted, (*path, each), (*parts, each), check)
            elif stat.S_ISLNK(found.st_mode):
                yield self._linked(wanted, name)
            else:
                yield self._file(name, (*path, each), found)

    def _linked(self, wanted: Path, name: str) -> FolderFile:
        path = self._inside(wanted / name, name)
        with _naming(name):
            found = self._stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise _unusable(name, "is a link to a folder, which is not followed: import that folder, or copy it")
        return self._file(name, path, found)

    def _file(self, name: str, path: tuple[str, ...], found: os.stat_result) -> FolderFile:
        _require_regular(name, found)
        return FolderFile(name, path, found.st_size)

    def _inside(self, path: Path, name: str) -> tuple[str, ...]:
        """The parts of its resolved path below the allowed folder."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._real):
            raise _unusable(name, "leads out of the folder from which datasets are imported")
        self._refuse(real)
        return real.relative_to(self._real).parts

    def _stat(self, path: tuple[str, ...]) -> os.stat_result:
        if not path:
            return os.fstat(self._root)
        folder = self._open(path[:-1], _FOLDER)
        try:
            return os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)

    def _open(self, path: tuple[str, ...], flags: int) -> int:
        """Raises OSError where a part is a link."""
        handle = os.dup(self._root)
        for at, part in enumerate(path, start=1):
            try:
                following = os.open(part, flags if at == len(path) else _FOLDER, dir_fd=handle)
            finally:
                os.close(handle)
            handle = following
        return handle


class _naming:
    """Errors of the system become ImportUnusable; those of the disk (EIO, ENOSPC) are raised as they are."""

    _NOT_THERE = (FileNotFoundError, NotADirectoryError, PermissionError)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self._NOT_THERE):
            why = "may not be read by the worker" if isinstance(error, PermissionError) else "is not there"
            raise _unusable(self._name, why) from error
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise _unusable(self._name, "became a link meanwhile") from error


def _require_regular(name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(name, "is a pipe, a socket or a device: only files are imported")


def _unusable(name: str, why: str) -> ImportUnusable:
    printable = name if name.isprintable() else ascii(name)
    return ImportUnusable(f"{printable[:300]} {why}.", reason="folder", path=printable[:300])
