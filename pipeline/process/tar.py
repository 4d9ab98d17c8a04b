"""Tars that Darkroom writes: packed, and unpacked without leaving the folder."""

import tarfile
from collections.abc import Callable
from pathlib import Path

CHECK_EVERY = 200  # files; images have some hundred KB


def pack(folder: Path, target: Path) -> Path:
    """One uncompressed tar of the files in `folder`, by name: weights do not compress. A failure leaves no file."""
    try:
        with tarfile.open(target, "w") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name, recursive=False)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return target


def unpack(archive: Path, folder: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Calls `check()` every CHECK_EVERY files; it may raise to stop.

    Raises tarfile.TarError for a broken archive, and for a member that would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "r:") as tar:
        for number, member in enumerate(tar):
            if number % CHECK_EVERY == 0:
                check()
            tar.extract(member, folder, filter="data")
