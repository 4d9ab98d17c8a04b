"""An uploaded ZIP of parquet files, as datasets of a Hugging Face hub are: unpacked into a ZIP of images beside it.

A process of its own reads the tables. What is made of them is extracted and read as any upload.
"""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from core.domain.errors import DatasetRejected
from core.domain.findings import Finding
from core.domain.limits import MAX_RATIO, MAX_TOTAL_BYTES, RATIO_FREE_TOTAL_BYTES
from pipeline.archive.contents import kinds_of
from pipeline.archive.entry_names import base_of, folder_of, suffix_of
from pipeline.archive.extract import EXTRACTED_FILE, extract, is_hidden, is_image
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, Rejected, SourceFile
from pipeline.archive.zip_directory import BrokenArchive, Directory, read_directory
from pipeline.dataset.model import common_folder
from pipeline.formats.class_order import CLASS_ORDER
from pipeline.hub.card import README
from pipeline.hub.files import TABLE
from pipeline.hub.unpack_spec import FULL, NO_IMAGES, OK, Refusal, TableFile, UnpackSpec
from pipeline.process.progress import StageReporter

UNPACKED = "unpacked.zip"
_FEW_IMAGES = 20  # beside tables, outside of their folders: previews and samples of a repository
_POLL_SECONDS = 0.1
_BYTES_A_SECOND = 2 * 1024**2  # of tables, at the least; the slowest disks write more
_START_SECONDS = 120


def holds_tables(names: Iterable[str]) -> bool:
    """Whether an archive of these files may be one of tables: its only images, if any, are a few in other folders."""
    files = [name for name in names if not is_hidden(name)]
    folders = {folder_of(name) for name in files if suffix_of(name) == TABLE}
    if not folders:
        return False
    images = [name for name in files if is_image(name)]
    return len(images) <= _FEW_IMAGES and folders.isdisjoint(map(folder_of, images))


def extract_dataset(
    archive: Path,
    into: Path,
    *,
    threads: int,
    steps: StageReporter,
    each: Callable[[list[SourceFile]], None] = lambda _: None,
    scratch_bytes: int = 0,
    in_place: bool = False,
    written: Mapping[str, SourceFile] | None = None,
    keep: str = "",
) -> tuple[ExtractedArchive, list[Finding]]:
    """As `extract`; of an archive of tables the images and rows that are in them. `into` stays as long as the files.

    `keep`: the name of a text that is read beside the tables.

    Raises Rejected for tables that cannot be read, RunCancelled, OSError where the disk is full.
    """

    def extracted(source: Path, folder: Path, *, in_place: bool) -> tuple[ExtractedArchive, list[Finding]]:
        return extract(
            source,
            folder,
            threads=threads,
            tick=steps.tick,
            each=each,
            scratch_bytes=scratch_bytes,
            in_place=in_place,
            written=written,
        )

    source, findings = extracted(archive, into, in_place=in_place)
    names = [*(file.name for file in source.files), *source.left_out]
    if not holds_tables(names):
        return source, findings
    unpacked = _unpack(archive, names, into, steps)
    if unpacked is None:
        return source, findings
    folder = into / "images"
    folder.mkdir()
    images, of_images = extracted(unpacked, folder, in_place=True)
    kept = tuple(file for file in source.files if base_of(file.name) == keep)
    left_out = _left_out([name for name in names if base_of(name) != keep], findings)
    return replace(images, files=(*images.files, *kept), left_out=source.left_out), [*of_images, *left_out]


def plain_archive(archive: Path, scratch: Path, steps: StageReporter) -> Path:
    """`archive`, or below `scratch` what it holds where it is one of tables. Raises as `extract_dataset`."""
    return read_plain_archive(archive, scratch, steps)[0]


def read_plain_archive(archive: Path, scratch: Path, steps: StageReporter) -> tuple[Path, Directory | None]:
    """As `plain_archive`, with the directory of `archive` where it is that: None where it cannot be read, or is not."""
    try:
        with archive.open("rb") as file:
            directory = read_directory(file)
    except BrokenArchive:
        return archive, None  # reading it says why
    names = [entry.name for entry in directory.entries if not entry.is_folder]
    unpacked = _unpack(archive, names, scratch, steps) if holds_tables(names) else None
    return (archive, directory) if unpacked is None else (unpacked, None)


def _unpack(archive: Path, names: list[str], scratch: Path, steps: StageReporter) -> Path | None:
    """None where the tables are not those of images. Raises Rejected."""
    tables = [name for name in names if suffix_of(name) == TABLE and not is_hidden(name)]
    root, readme = _root(tables, names)
    folder = scratch / "tables"
    folder.mkdir()
    wanted = {*tables, readme or README, f"{root}{CLASS_ORDER}"}
    source, _ = extract(archive, folder, threads=1, tick=steps.tick, in_place=True, wanted_name=wanted.__contains__)
    files = {file.name: _file(file, root) for file in source.files}
    spec = UnpackSpec(
        tables=[files[name] for name in sorted(tables)],
        readme=files.get(readme or ""),
        class_order=files.get(f"{root}{CLASS_ORDER}"),
        target=folder / UNPACKED,
        result=folder / "refused.json",
        max_bytes=min(MAX_TOTAL_BYTES, RATIO_FREE_TOTAL_BYTES + MAX_RATIO * sum(file.bytes for file in source.files)),
    )
    is_whole = _run(spec, folder, steps, is_alone=not any(map(is_image, names)))
    (folder / EXTRACTED_FILE).unlink(missing_ok=True)  # tables that were deflated
    return spec.target if is_whole else None


def _root(tables: list[str], names: list[str]) -> tuple[str, str | None]:
    """(the folder that the names of tables are below, the README of it): the deepest that has one, else that of the
    tables."""
    readmes = {name for name in names if base_of(name) == README}
    folder = common_folder(tables)
    above = folder
    while True:
        if (name := f"{above}{README}") in readmes:
            return above, name
        if not above:
            return folder, None
        above = above.rstrip("/").rpartition("/")[0]
        above = f"{above}/" if above else ""


def _file(file: SourceFile, root: str) -> TableFile:
    return TableFile(name=file.name[len(root) :], entry=file.name, file=file.file, at=file.at, bytes=file.bytes)


def _run(spec: UnpackSpec, folder: Path, steps: StageReporter, *, is_alone: bool) -> bool:
    """False where the tables hold no images and there are others beside them, unless `is_alone`.

    A process that was killed is started once more: the system kills for want of memory, too. Raises Rejected, OSError.
    """
    path = folder / "spec.json"
    path.write_text(spec.model_dump_json())
    total = sum(table.bytes for table in spec.tables)
    seconds = _START_SECONDS + total / _BYTES_A_SECOND
    for _ in range(2):
        status = _status(path, spec.target, total, seconds, steps)
        if status is None or status >= 0:
            break
    if status == OK:
        return True
    if status == FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    refusal = _refusal(spec)
    if refusal is None:
        ended = f"took more than {seconds:.0f} seconds" if status is None else f"ended its process (status {status})"
        refusal = Refusal(code="parquet-invalid", path=spec.tables[0].entry, detail=f"Reading the tables {ended}.")
    if status == NO_IMAGES and not is_alone:
        return False
    finding = Finding.of(refusal.code, refusal.path, refusal.detail, line=refusal.line)
    where = refusal.path if refusal.line is None else f"{refusal.path}, row {refusal.line}"
    raise Rejected(DatasetRejected(f"{where}: {refusal.detail}", errors={finding.code: 1}), [finding])


def _status(spec: Path, target: Path, total: int, seconds: float, steps: StageReporter) -> int | None:
    """How the process ended; None where it took too long."""
    command = [sys.executable, "-m", "pipeline.hub.unpack_process", str(spec)]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    return process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    written = target.stat().st_size if target.exists() else 0
                    steps.tick(min(written, total), total)
                if time.monotonic() - began > seconds:
                    return None
        finally:
            process.kill()


def _refusal(spec: UnpackSpec) -> Refusal | None:
    """What the process wrote; None for nothing, or what is none: it may have been taken over."""
    try:
        return Refusal.model_validate_json(spec.result.read_bytes())
    except (OSError, ValidationError):
        return None


def _left_out(names: list[str], findings: list[Finding]) -> list[Finding]:
    """Of the archive itself: what is neither a table nor read with the tables."""
    rest = [
        name
        for name in names
        if suffix_of(name) != TABLE and base_of(name) not in (README, CLASS_ORDER) and not is_hidden(name)
    ]
    kept = [each for each in findings if each.code == "archive-nested"]
    if rest:
        detail = f"{counted(len(rest), 'file')} left out, as the dataset is in the Parquet files: {kinds_of(rest)}."
        kept.append(Finding.of("files-left-out", sorted(rest)[0], detail))
    return kept
