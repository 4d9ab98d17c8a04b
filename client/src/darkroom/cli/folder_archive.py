"""A folder as a ZIP. The same files give the same bytes, so that an interrupted upload of it is resumed."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from darkroom.cli.failures import CommandFailed
from darkroom.cli.text import size

MADE_AT = (1980, 1, 1, 0, 0, 0)  # the first time that a ZIP can name
READ_BYTES = 1024**2
STORED = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".zip", ".gz"})  # compressed already


def files_in(folder: Path) -> list[Path]:
    """Sorted, without hidden files and links, which may lead elsewhere. Raises CommandFailed if none is left."""
    found = sorted(_walk(folder), key=lambda path: path.relative_to(folder).as_posix())
    if not found:
        raise CommandFailed(f"{folder} holds no files.", "Choose the folder that holds the images and their labels.")
    return found


def write_archive(folder: Path, files: list[Path], archive: Path, *, on_bytes: Callable[[int], None]) -> None:
    """Raises CommandFailed where the disk of `archive` has no room."""
    needed = sum(path.stat().st_size for path in files)
    free = shutil.disk_usage(archive.parent).free
    if needed > free:
        raise CommandFailed(
            f"The ZIP of {folder} needs {size(needed)} in {archive.parent}, which has {size(free)} left.",
            "Set TMPDIR to a folder on a larger disk.",
        )
    with zipfile.ZipFile(archive, "w") as written:
        for path in files:
            _add(written, path, path.relative_to(folder).as_posix(), on_bytes)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _add(archive: zipfile.ZipFile, path: Path, name: str, on_bytes: Callable[[int], None]) -> None:
    entry = zipfile.ZipInfo(name, MADE_AT)
    entry.compress_type = zipfile.ZIP_STORED if path.suffix.lower() in STORED else zipfile.ZIP_DEFLATED
    entry.file_size = path.stat().st_size
    with path.open("rb") as file, archive.open(entry, "w") as target:
        while block := file.read(READ_BYTES):
            target.write(block)
            on_bytes(len(block))
