"""A folder as one uncompressed tar whose bytes depend on the files alone: no times, owners or order of the disk."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Digest(NamedTuple):
    bytes: int
    sha256: str


def write_tar(tree: Path, target: Path, tick: Callable[[int, int], None]) -> Digest:
    """Every file below `tree`, sorted by name, relative, mode 0644. `tick(done, total)` may raise to stop."""
    paths = sorted(
        (path for path in tree.rglob("*") if path.is_file()), key=lambda path: path.relative_to(tree).as_posix()
    )
    with target.open("wb") as file:
        hashing = _Hashing(file)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=1 << 20) as tar:
            for done, path in enumerate(paths, start=1):
                member = tarfile.TarInfo(path.relative_to(tree).as_posix())
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(member, content)
                tick(done, len(paths))
    return Digest(hashing.size, hashing.digest.hexdigest())


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
