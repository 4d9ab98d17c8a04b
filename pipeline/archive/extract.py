"""Extract the data of a ZIP safely: it is validated as a whole, then inflated within its declared sizes.

All entries go into one file, each into a byte range that its declared size decides: no name in the archive becomes a
path, so none can reach outside the folder, collide with another or have a meaning to the file system. Only entries
that can be data are written.
"""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from core.domain.errors import ArchiveRefused
from core.domain.findings import Finding
from pipeline.archive.contents import inner_archives, kinds_of
from pipeline.archive.disk_space import require_space
from pipeline.archive.entry_names import bare_of, base_of, suffix_of
from pipeline.archive.first_bytes import HEAD_BYTES
from pipeline.archive.inflate import inflate
from pipeline.archive.plural import counted
from pipeline.archive.source import EXTENSION_LOG, REPAIR_LOG, ExtractedArchive, Rejected, SourceFile
from pipeline.archive.zip_directory import STORED, BrokenArchive, ZipEntry, read_directory
from pipeline.archive.zip_rules import validate, validate_directory

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "gif", "mpo"),
        *("jp2", "avif", "heic", "heif", "ppm", "pgm"),
    )
)
TEXT_SUFFIXES = frozenset(
    {
        *(".xml", ".txt", ".json", ".yaml", ".yml", ".names", ".labels", ".data", ".lst", ".list"),
        *(".csv", ".tsv", ".jsonl", ".ndjson", ".pbtxt"),
    }
)  # of formats, and tables that are looked at
_SYSTEM_FOLDERS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "@__thumb",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)
SPLIT_LISTS = frozenset(f"{name}.txt" for name in ("train", "val", "valid", "validation", "test", "trainval"))

EXTRACTED_FILE = "extracted"
_LOGS = (REPAIR_LOG, EXTENSION_LOG)
_BATCH = 32  # entries of one task: a task of its own for each would take 1 KB for each


def extract(
    archive: Path,
    into: Path,
    *,
    threads: int,
    tick: Callable[[int, int], None],
    each: Callable[[list[SourceFile]], None] = lambda _: None,
    scratch_bytes: int = 0,
    in_place: bool = False,
    written: Mapping[str, SourceFile] | None = None,
    wanted_name: Callable[[str], bool] | None = None,
) -> tuple[ExtractedArchive, list[Finding]]:
    """Inflate every data entry of `archive` into one file in `into`. Returns the extracted files, and notes.

    `tick(done, total)` is called after some files and may raise to stop. `each` receives the files as they are
    extracted, so that work on them begins before the rest is known to be whole. `scratch_bytes`: the most that a
    layout writes beside its tar; the disk must have space for it as well. `in_place`: the archive stays, so that what
    lies in it uncompressed is validated and read there. `written`: files by their names, where this process has just
    written them: neither they nor any local header is read. `wanted_name`: whether an entry is extracted, in place of
    `can_be_data`. Raises Rejected (ArchiveRefused) with all reasons found, before anything is written where the
    directory shows them; OutOfSpace.
    """
    try:
        with archive.open("rb") as file:
            head = file.read(HEAD_BYTES)
            entries, directory_at = read_directory(file, head)
            reasons = validate_directory(entries, directory_at) if written else validate(file, entries, directory_at)
    except BrokenArchive as error:
        reasons, entries = [error.finding], []
    if reasons:
        raise _refused(reasons)
    is_wanted = wanted_name or can_be_data
    wanted = [entry for entry in entries if is_wanted(entry.name) and not entry.is_folder]
    wanted.sort(key=lambda entry: (not is_image(entry.name), entry.name))  # images first: more is done with them
    total = sum(entry.size for entry in wanted)
    # The extracted files, their tar, and what a layout writes beside it. Converted images may need more: space for
    # them is required again when their sizes are known.
    require_space(into, 2 * total + min(total, scratch_bytes))
    files, broken = _inflate_all(
        archive, wanted, into / EXTRACTED_FILE, threads, tick, each, in_place=in_place, written=written or {}
    )
    if broken:
        raise _refused(sorted(broken, key=lambda finding: finding.path))
    kept = {entry.name for entry in wanted}
    left_out = tuple(
        sorted(
            entry.name
            for entry in entries
            if entry.name not in kept and not entry.is_folder and entry.name not in _LOGS
        )
    )
    folders = tuple(sorted(entry.name.rstrip("/") for entry in entries if entry.is_folder))
    guessed = sorted((entry.name, entry.guessed) for entry in wanted if entry.guessed)
    files.sort(key=lambda file: file.name)
    return ExtractedArchive(tuple(files), left_out, folders), [*_notes(files, left_out), *_note_guessed(guessed)]


def is_image(name: str) -> bool:
    """By its name alone, not its content."""
    return suffix_of(name) in IMAGE_SUFFIXES


def can_be_data(name: str) -> bool:
    """Images and plain text; nothing that a library might execute or unpickle, nothing hidden, no system junk."""
    return _is_of_data(name) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on its path is hidden or belongs to a system: `.ipynb_checkpoints`, `__MACOSX`."""
    return name.startswith(".") or "/." in name or not _SYSTEM_FOLDERS.isdisjoint(name.lower().split("/"))


def _is_of_data(name: str) -> bool:
    return name not in _LOGS and not name.endswith("/") and (is_image(name) or suffix_of(name) in TEXT_SUFFIXES)


def _refused(reasons: list[Finding]) -> Rejected:
    first = reasons[0]
    where = f" ({first.path})" if first.path else ""
    more = f" And {len(reasons) - 1} more." if len(reasons) > 1 else ""
    counts = dict(sorted(Counter(finding.code for finding in reasons).items()))
    return Rejected(ArchiveRefused(f"{first.detail}{where}{more}", reasons=counts), reasons)


def _inflate_all(
    archive: Path,
    wanted: list[ZipEntry],
    target: Path,
    threads: int,
    tick: Callable[[int, int], None],
    each: Callable[[list[SourceFile]], None],
    *,
    in_place: bool,
    written: Mapping[str, SourceFile],
) -> tuple[list[SourceFile], list[Finding]]:
    """In threads: inflating, hashing, CRC and writing all release the interpreter's lock."""
    starts = list(accumulate((entry.size for entry in wanted), initial=0))
    local = threading.local()
    handles: list[BinaryIO] = []

    out, name = target.open("wb", buffering=0), str(target)
    handles.append(out)

    def inflate_batch(first: int) -> list[SourceFile | Finding]:
        if not hasattr(local, "file"):
            local.file = archive.open("rb")
            handles.append(local.file)
        batch = enumerate(wanted[first : first + _BATCH], start=first)
        return [
            written.get(entry.name)
            or (
                _validate_in_place(local.file, entry, str(archive))
                if in_place and entry.method == STORED
                else _inflate_or_finding(local.file, entry, name, out.fileno(), starts[number])
            )
            for number, entry in batch
        ]

    files: list[SourceFile] = []
    broken: list[Finding] = []
    try:
        with ThreadPoolExecutor(threads) as pool:
            try:
                for results in pool.map(inflate_batch, range(0, len(wanted), _BATCH)):
                    whole = [result for result in results if isinstance(result, SourceFile)]
                    each(whole)
                    files += whole
                    broken += [result for result in results if isinstance(result, Finding)]
                    tick(len(files) + len(broken), len(wanted))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        for handle in handles:
            handle.close()
    return files, broken


def _inflate_or_finding(file: BinaryIO, entry: ZipEntry, target: str, out: int, at: int) -> SourceFile | Finding:
    # The fingerprint contains the bytes of images alone; of annotations, the values that are read from them.
    try:
        digest = inflate(file, entry, out, at, hashed=is_image(entry.name))
    except BrokenArchive as error:
        return error.finding
    return SourceFile(entry.name, target, entry.size, digest, at)


def _validate_in_place(file: BinaryIO, entry: ZipEntry, archive: str) -> SourceFile | Finding:
    try:
        digest = inflate(file, entry, None, 0, hashed=is_image(entry.name))
    except BrokenArchive as error:
        return error.finding
    return SourceFile(entry.name, archive, entry.size, digest, file.seek(0, io.SEEK_CUR) - entry.size)


def _notes(files: list[SourceFile], left_out: tuple[str, ...]) -> Iterator[Finding]:
    hidden = [name for name in left_out if _is_of_data(name) and is_hidden(name) and not _is_system_copy(name)]
    yield from _note_hidden(hidden)
    of_hidden = set(hidden)
    yield from _note_left_out(tuple(name for name in left_out if name not in of_hidden))
    yield from _note_unusual([file.name for file in files if not file.name.isascii() or " " in file.name])
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(file.name.casefold(), file.name)
        if other != file.name:
            detail = f"The name differs from {other} only in case: on Windows and macOS one would overwrite the other."
            yield Finding.of("names-differ-in-case", file.name, detail)


def _is_system_copy(name: str) -> bool:
    """macOS puts `._name` beside each file, or below `__MACOSX`: its attributes, not its content."""
    return base_of(name).startswith("._") or "__MACOSX" in name.split("/")


def _note_hidden(names: list[str]) -> Iterator[Finding]:
    if not names:
        return
    are = counted(
        len(names),
        "file is hidden or in a hidden or system folder and is",
        "files are hidden or in hidden or system folders and are",
    )
    yield Finding.of("hidden-left-out", names[0], f"{are} left out.")
    stems = {bare_of(base_of(name)) for name in names if not is_image(name)}
    labelled = [name for name in names if is_image(name) and bare_of(base_of(name)) in stems]
    if labelled:
        detail = f"{counted(len(labelled), 'image')} with labels left out: they lie in hidden or system folders."
        yield Finding.of("labelled-images-left-out", labelled[0], detail)


def _note_unusual(names: list[str]) -> Iterator[Finding]:
    if names:
        have = counted(len(names), "name has", "names have")
        detail = f"{have} spaces or characters beyond ASCII. The files that trainers read get ASCII names."
        yield Finding.of("names-unusual", names[0], detail)


def _note_guessed(names: list[tuple[str, str]]) -> Iterator[Finding]:
    if names:
        first, encoding = names[0]
        are = counted(len(names), "name is", "names are")
        detail = f"{are} not UTF-8, with no encoding declared: read as {encoding}, which may give wrong letters."
        yield Finding.of("names-encoding-guessed", first, detail)


def _note_left_out(names: tuple[str, ...]) -> Iterator[Finding]:
    if not names:
        return
    if inner := inner_archives(names):
        detail = f"{counted(len(inner), 'archive')} inside the archive not read: {', '.join(inner[:5])}."
        yield Finding.of("archive-nested", inner[0], detail)
    detail = f"{counted(len(names), 'file')} left out, as neither an image nor an annotation: {kinds_of(names)}."
    yield Finding.of("files-left-out", names[0], detail)
