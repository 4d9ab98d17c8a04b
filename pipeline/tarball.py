"""A folder as one uncompressed tar whose bytes depend on the files alone: no times, owners or order of the disk."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Digest(NamedTuple):
    bytes: int
    sha256: str


def write_tar(tree: Path, target: Path, tick: Callable[[int, int], None]) -> Digest:
    """Every file below `tree`, sorted by name, relative, mode 0644. `tick(done, total)` may raise to stop."""
    names = sorted(_files_below(tree))
    with target.open("wb") as file:
        hashing = _Hashing(file)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=1 << 20) as tar:
            for done, name in enumerate(names, start=1):
                member = tarfile.TarInfo(name)
                with (tree / name).open("rb") as content:
                    member.size = os.fstat(content.fileno()).st_size
                    tar.addfile(member, content)
                tar.members.clear()  # type: ignore[attr-defined] # it keeps each one otherwise, with 1 KB, and nobody asks for them
                tick(done, len(names))
    return Digest(hashing.size, hashing.digest.hexdigest())


def _files_below(tree: Path) -> Iterator[str]:
    """Relative names with `/`: text, since 200,000 Paths have 200 MB."""
    for folder, _, files in os.walk(tree):
        below = "" if folder == str(tree) else f"{Path(folder).relative_to(tree).as_posix()}/"
        yield from (below + name for name in files)


def file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Digest(file.seek(0, io.SEEK_END), digest.hexdigest())


class _Hashing(io.RawIOBase):
    """Counts and hashes what passes through to `file`."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, block: bytes) -> int:  # type: ignore[override]
        self.size += len(block)
        self.digest.update(block)
        return self._file.write(block)
