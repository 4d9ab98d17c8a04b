"""Converts files of a hub to a ZIP of class folders. The same files always give the same bytes."""

import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_ENTRIES, MAX_IMAGE_BYTES
from pipeline.dataset.class_order import natural_order
from pipeline.formats.class_folders import Folder, assign_folders
from pipeline.formats.class_order import CLASS_ORDER
from pipeline.hub.columns import Columns, Names
from pipeline.hub.folder_names import folders_of
from pipeline.hub.tables import ParquetTable, TableRow, same_classes
from pipeline.params.hub_set import SPLIT_FOLDERS
from pipeline.process.progress import StageReporter
from pipeline.process.specs import FetchedFile

_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
# (offset, bytes at it, suffix of the image format).
_MAGIC = (
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"\x89PNG", "png"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tif"),
    (0, b"MM\x00*", "tif"),
    (4, b"ftypavif", "avif"),
    (4, b"ftyphei", "heic"),
)


_OpenTable = Callable[[FetchedFile], ParquetTable]


@dataclass(frozen=True, slots=True)
class ImportedZip:
    """`left_out`: number of rows without an image or a label. `classes`: names of the folders."""

    images: int
    left_out: int
    classes: tuple[str, ...]


def tables_to_zip(
    files: Sequence[FetchedFile],
    target: Path,
    card: Names,
    *,
    image: str | None,
    label: str | None,
    max_bytes: int,
    steps: StageReporter,
) -> ImportedZip:
    """Writes `<class>/<number>.<suffix>`, below `train/`, `val/` and `test/` for several splits, and the order of the
    classes where their names alone would give another one.

    The number counts rows over all files. One file is open at a time: a dataset may have more files than a process
    may open. Raises HubSetUnusable, RunCancelled, OSError.
    """

    def open_table(file: FetchedFile) -> ParquetTable:
        return ParquetTable(file.path, file.name, card, image=image, label=label)

    columns, total = _inspect(files, open_table)
    folders = folders_of(columns.names if columns.names is not None else _labels(files, open_table))
    several = len({file.split for file in files}) > 1
    used: set[str] = set()
    row = 0
    with ImageZip(target, max_bytes) as archive:
        for file in files:
            part = _part(file.split, several=several)
            for content, name in _rows(file, open_table):
                row += 1
                if content is not None and name is not None:
                    used.add(folders[name])
                    archive.add(f"{part}{folders[name]}/{row:07d}.{image_suffix(content)}", content)
                steps.tick(row, total)
        order = [folders[name] for name in dict.fromkeys(columns.names or ()) if folders[name] in used]
        if order != sorted(order, key=natural_order):
            archive.add_text(CLASS_ORDER, "".join(f"{folder}\n" for folder in order))
    return ImportedZip(archive.entries, row - archive.entries, tuple(sorted(used)))


def images_to_zip(files: Sequence[FetchedFile], target: Path, *, max_bytes: int, steps: StageReporter) -> ImportedZip:
    """Writes images in class folders, by the rules of an uploaded ZIP. Raises the same as `tables_to_zip`."""
    assignments = assign_folders(Counter(_folder(file) for file in files))
    labelled = [(file, label) for file in files if (label := assignments[_folder(file)].label)]
    if not labelled:
        raise HubSetUnusable("The images of the dataset are not in two or more class folders.")
    folders = folders_of(label for _, label in labelled)
    several = len({file.split for file in files}) > 1
    with ImageZip(target, max_bytes) as archive:
        for row, (file, label) in enumerate(labelled, start=1):
            content = _content(file.path)
            part = _part(file.split, several=several)
            archive.add(f"{part}{folders[label]}/{row:07d}.{image_suffix(content)}", content)
            steps.tick(row, len(labelled))
    return ImportedZip(archive.entries, len(files) - len(labelled), tuple(sorted(set(folders.values()))))


def image_suffix(content: bytes) -> str:
    """By the first bytes; `jpg` for unknown content, which the validation of the dataset reports."""
    return next((suffix for at, magic, suffix in _MAGIC if content[at : at + len(magic)] == magic), "jpg")


def _inspect(files: Sequence[FetchedFile], open_table: _OpenTable) -> tuple[Columns, int]:
    """(columns, number of rows). Raises HubSetUnusable where the class names differ between files."""
    first: Columns | None = None
    total = 0
    for file in files:
        with open_table(file) as table:
            first = first or table.columns
            if not same_classes(first, table.columns):
                raise HubSetUnusable("The files of the dataset have different class names.")
            total += table.rows
    if first is None:
        raise HubSetUnusable("The dataset has no parquet files.")
    return first, total


def _labels(files: Sequence[FetchedFile], open_table: _OpenTable) -> Iterator[str]:
    """The class names of text labels, which are complete only after the whole column is read."""
    for file in files:
        with open_table(file) as table:
            yield from table.labels()


def _rows(file: FetchedFile, open_table: _OpenTable) -> Iterator[TableRow]:
    with open_table(file) as table:
        yield from table.read()


def _folder(file: FetchedFile) -> Folder:
    return tuple(file.name.split("/")[:-1])


def _part(split: str, *, several: bool) -> str:
    return f"{SPLIT_FOLDERS[split]}/" if several else ""


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise _too_large(f"An image of the dataset has {path.stat().st_size} bytes", MAX_IMAGE_BYTES)
    return path.read_bytes()


class ImageZip:
    """A ZIP of stored entries with a fixed time and mode. Raises HubSetUnusable above the limits."""

    def __init__(self, target: Path, max_bytes: int) -> None:
        self._zip = zipfile.ZipFile(target, "w")
        self._max_bytes = max_bytes
        self.folder = target.parent
        self.bytes = 0  # of the images
        self.entries = 0

    def __enter__(self) -> "ImageZip":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, content: bytes) -> None:
        self.entries += 1
        self.bytes += len(content)
        if self.entries > MAX_ENTRIES:
            raise _too_large("The dataset has too many images", MAX_ENTRIES)
        if len(content) > MAX_IMAGE_BYTES:
            raise _too_large(f"An image of the dataset has {len(content)} bytes", MAX_IMAGE_BYTES)
        if self.bytes > self._max_bytes:
            raise _too_large(
                f"The images of the dataset have more than {self._max_bytes} bytes in total", self._max_bytes
            )
        self._write(name, content)

    def add_text(self, name: str, text: str) -> None:
        """Beside the images: it is not counted."""
        self._write(name, text.encode())

    def add_file(self, name: str, path: Path) -> None:
        """As `add_text`, of any size."""
        with path.open("rb") as file, self._zip.open(_entry(name), "w", force_zip64=True) as entry:
            shutil.copyfileobj(file, entry, 1024**2)

    def _write(self, name: str, content: bytes) -> None:
        self._zip.writestr(_entry(name), content)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_STORED  # images are compressed already
    entry.external_attr = _MODE
    entry.create_system = 3
    return entry


def _too_large(what: str, limit: int) -> HubSetUnusable:
    return HubSetUnusable(f"{what}; the limit is {limit}.", reason="too-large", limit=limit)
