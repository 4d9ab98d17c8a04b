"""Tars of our own making, written and opened safely."""

import tarfile
from pathlib import Path


def pack(folder: Path, target: Path) -> Path:
    """One uncompressed tar of the files in `folder`, by name. Weights do not compress."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name, recursive=False)
    return target


def unpack(archive: Path, folder: Path) -> None:
    """Raises tarfile.TarError for a broken archive or a member that would leave the folder."""
    with tarfile.open(archive, "r:") as tar:
        tar.extractall(folder, filter="data")
