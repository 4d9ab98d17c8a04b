"""Images of the parent's ZIP, copied into that of the revision in processes, beside what follows in this one."""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self
from zlib import crc32

from core.domain.errors import PreparationFailed
from pipeline.archive.byte_range import COPY_BYTES, ByteRange, write_at
from pipeline.archive.inflate import blocks_of
from pipeline.archive.zip_directory import STORED, BrokenArchive, ZipEntry, locate_data
from pipeline.decode.pool import Crash, DecodePool

_BATCH = 16  # images that one task copies
Tick = Callable[[int, int], None]


class CopiedImage(NamedTuple):
    """`path`: in the revision, for messages; its bytes go to `at`. `sha256`: compared, where it is not empty."""

    path: str
    entry: ZipEntry
    at: int
    sha256: str


class _Batch(NamedTuple):
    archive: Path
    target: Path
    images: list[CopiedImage]


class _Failure(NamedTuple):
    """Why a batch was not copied: an error of the system, or of the image that has the path."""

    errno: int
    path: str
    detail: str


class ImageCopies:
    """Copies images of one ZIP into another, until its context is left: in up to `processes` processes where they are
    inflated or hashed, else in one. Those that write one file wait for each other: two that only copy take a third more
    of the processor than one."""

    def __init__(self, *, processes: int) -> None:
        self._processes = processes
        self._held = ExitStack()
        self._pool: DecodePool[_Batch, _Failure] | None = None
        self._batches: dict[str, int] = {}  # path -> number of the task
        self._count = 0
        self._is_whole = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._held.__exit__(*error)

    def begin(self, archive: Path, images: list[CopiedImage], target: Path) -> None:
        """Copy images of `archive` to their places in `target`. The first ones, for all, decide how many
        processes there are."""
        batches = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
        for number, batch in enumerate(batches, start=self._count):
            self._batches |= {image.path: number for image in batch}
        self._count += len(batches)
        self._is_whole = not self._count
        if self._pool is None:
            computed = any(image.entry.method != STORED or image.sha256 for image in images)
            pool = DecodePool(_copy, parse=_failure, processes=self._processes if computed else 1, writes=True)
            self._pool = self._held.enter_context(pool)
        self._pool.submit(_Batch(archive, target, batch) for batch in batches)

    def wait(self, tick: Tick) -> None:
        """Until all that was begun is done; `tick(done, total)` may raise to stop. Raises PreparationFailed for an
        image that cannot be read or is another one, OSError."""
        if self._pool and not self._is_whole:
            for answer in self._pool.answers(tick):
                _raise_failure(answer)
            self._is_whole = True

    def wait_for(self, path: str, check: Callable[[], None]) -> None:
        """As `wait`, for one image of the revision, or for nothing where its bytes are not copied."""
        if self._pool and not self._is_whole and (number := self._batches.get(path)) is not None:
            _raise_failure(self._pool.answer(number, check))


def _raise_failure(answer: _Failure | Crash) -> None:
    if isinstance(answer, Crash):
        raise PreparationFailed(f"Copying images {answer.why}.")
    if answer.errno:
        raise OSError(answer.errno, os.strerror(answer.errno))
    if answer.path:
        raise PreparationFailed(answer.detail, image=answer.path)


def _failure(reply: bytes) -> _Failure:
    return _Failure(*json.loads(reply))


def _copy(batch: _Batch) -> bytes:
    buffer = bytearray(COPY_BYTES)
    try:
        with batch.archive.open("rb") as file, batch.target.open("r+b", buffering=0) as out:
            for image in batch.images:
                _copy_image(file, image, out, buffer)
    except OSError as error:
        return json.dumps(_Failure(error.errno or errno.EIO, "", "")).encode()
    except PreparationFailed as error:
        return json.dumps(_Failure(0, error.facts["image"], error.detail)).encode()
    return json.dumps(_Failure(0, "", "")).encode()


def _copy_image(file: BinaryIO, image: CopiedImage, out: FileIO, buffer: bytearray) -> None:
    """Raises PreparationFailed where its bytes are others than those that were prepared."""
    entry, digest = image.entry, hashlib.sha256()
    size = crc = 0
    try:
        if entry.method == STORED and not image.sha256 and (data_at := locate_data(file, entry)) is not None:
            ByteRange(file.name, data_at, entry.size).copy_to(out.fileno(), image.at, buffer)
            return
        for block in blocks_of(file, entry):
            write_at(out.fileno(), block, image.at + size)
            size += len(block)
            if image.sha256:
                digest.update(block)
                crc = crc32(block, crc)
    except BrokenArchive as error:
        raise PreparationFailed("The stored ZIP of the dataset cannot be read.", image=image.path) from error
    if size != entry.size or (image.sha256 and (digest.hexdigest(), crc) != (image.sha256, entry.crc)):
        detail = f"In the stored ZIP of the dataset, {image.path} is not the image that was prepared."
        raise PreparationFailed(detail, image=image.path)
