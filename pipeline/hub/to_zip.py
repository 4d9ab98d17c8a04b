"""A hub's files become a ZIP of folders of classes. The same files give the same bytes."""

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_ENTRIES, MAX_IMAGE_BYTES
from pipeline.formats.class_folders import Folder, assign_folders
from pipeline.hub.columns import Columns, Names
from pipeline.hub.folder_names import folders_of
from pipeline.hub.tables import Row, Table, same_classes
from pipeline.params.hub_set import FOLDERS
from pipeline.process.progress import StageReporter
from pipeline.process.specs import FetchedFile

_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
# The first bytes of an image, where they are there -> its suffix.
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


Open = Callable[[FetchedFile], Table]


@dataclass(frozen=True, slots=True)
class Made:
    """`left_out`: rows without an image or without a label. `classes`: the folders."""

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
) -> Made:
    """`<class>/<number>.<suffix>`, below `train/`, `val/` and `test/` where several splits are taken.

    The number is the row's, over all files. One file is open at a time: a set has more than a process may open.
    Raises HubSetUnusable, RunCancelled, OSError.
    """

    def opened(file: FetchedFile) -> Table:
        return Table(file.path, file.name, card, image=image, label=label)

    columns, total = _looked_at(files, opened)
    folders = folders_of(columns.names if columns.names is not None else _labels(files, opened))
    several = len({file.split for file in files}) > 1
    used: set[str] = set()
    row = 0
    with _ZipFile(target, max_bytes) as archive:
        for file in files:
            part = _part(file.split, several=several)
            for content, name in _rows(file, opened):
                row += 1
                if content is not None and name is not None:
                    used.add(folders[name])
                    archive.add(f"{part}{folders[name]}/{row:07d}.{suffix_of(content)}", content)
                steps.tick(row, total)
    return Made(archive.entries, row - archive.entries, tuple(sorted(used)))


def images_to_zip(files: Sequence[FetchedFile], target: Path, *, max_bytes: int, steps: StageReporter) -> Made:
    """Images in folders of classes, by the rules that hold for an uploaded ZIP. Raises as `tables_to_zip`."""
    assignments = assign_folders(Counter(_folder(file) for file in files))
    placed = [(file, label) for file in files if (label := assignments[_folder(file)].label)]
    if not placed:
        raise HubSetUnusable("Its images do not lie in folders of classes, of which there are at least two.")
    folders = folders_of(label for _, label in placed)
    several = len({file.split for file in files}) > 1
    with _ZipFile(target, max_bytes) as archive:
        for row, (file, label) in enumerate(placed, start=1):
            content = _content(file.path)
            part = _part(file.split, several=several)
            archive.add(f"{part}{folders[label]}/{row:07d}.{suffix_of(content)}", content)
            steps.tick(row, len(placed))
    return Made(archive.entries, len(files) - len(placed), tuple(sorted(set(folders.values()))))


def suffix_of(content: bytes) -> str:
    """By its first bytes. What is no image is called one: the check finds it and says so."""
    return next((suffix for at, magic, suffix in _MAGIC if content[at : at + len(magic)] == magic), "jpg")


def _looked_at(files: Sequence[FetchedFile], opened: Open) -> tuple[Columns, int]:
    """The columns, with class names that are the same in all files, and the number of rows."""
    first: Columns | None = None
    total = 0
    for file in files:
        with opened(file) as table:
            first = first or table.columns
            if not same_classes(first, table.columns):
                raise HubSetUnusable("Its files have different class names.")
            total += table.rows
    if first is None:
        raise HubSetUnusable("It has no parquet files.")
    return first, total


def _labels(files: Sequence[FetchedFile], opened: Open) -> Iterator[str]:
    """Every class name that is a text: they are all known only after one look at the whole column."""
    for file in files:
        with opened(file) as table:
            yield from table.labels()


def _rows(file: FetchedFile, opened: Open) -> Iterator[Row]:
    with opened(file) as table:
        yield from table.read()


def _folder(file: FetchedFile) -> Folder:
    return tuple(file.name.split("/")[:-1])


def _part(split: str, *, several: bool) -> str:
    return f"{FOLDERS[split]}/" if several else ""


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise _too_large(f"An image has {path.stat().st_size} bytes", MAX_IMAGE_BYTES)
    return path.read_bytes()


class _ZipFile:
    """Stored entries of one time and mode, up to limits."""

    def __init__(self, target: Path, max_bytes: int) -> None:
        self._zip = zipfile.ZipFile(target, "w")
        self._max_bytes = max_bytes
        self._bytes = 0
        self.entries = 0

    def __enter__(self) -> "_ZipFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, content: bytes) -> None:
        self.entries += 1
        self._bytes += len(content)
        if self.entries > MAX_ENTRIES:
            raise _too_large("It has more images", MAX_ENTRIES)
        if len(content) > MAX_IMAGE_BYTES:
            raise _too_large(f"An image has {len(content)} bytes", MAX_IMAGE_BYTES)
        if self._bytes > self._max_bytes:
            raise _too_large(f"Its images have more than {self._max_bytes} bytes", self._max_bytes)
        entry = zipfile.ZipInfo(name, _TIME)
        entry.compress_type = zipfile.ZIP_STORED  # images are compressed already
        entry.external_attr = _MODE
        entry.create_system = 3
        self._zip.writestr(entry, content)


def _too_large(what: str, limit: int) -> HubSetUnusable:
    return HubSetUnusable(f"{what}; at most {limit} are taken.", reason="too-large", limit=limit)
