"""One entry of a ZIP inflated into a file, within its declared size."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.archive.byte_range import write_at
from pipeline.archive.plural import counted
from pipeline.archive.zip_directory import DEFLATED, BrokenArchive, ZipEntry, locate_data

_CHUNK = 1 << 20  # most images are read and inflated at once, which takes a tenth less


def inflate(file: BinaryIO, entry: ZipEntry, out: int | None, at: int, *, hashed: bool) -> str:
    """Write one entry to the descriptor `out`, from `at` on, and never beyond its declared size. None: only read it.

    Its real size, end and CRC must be the declared ones. Returns the sha256 of its bytes, if `hashed`, else an empty
    text. Raises BrokenArchive.
    """
    digest = hashlib.sha256() if hashed else None
    crc, size = 0, 0
    for block in blocks_of(file, entry):
        if size + len(block) > entry.size:
            size += len(block)
            break
        crc = zlib.crc32(block, crc)
        if digest:
            digest.update(block)
        if out is not None:
            write_at(out, block, at + size)
        size += len(block)
    if size != entry.size:
        raise BrokenArchive(
            "archive-size-mismatch",
            f"The entry is declared as {counted(entry.size, 'byte')} and has another size.",
            entry.name,
        )
    if crc != entry.crc:
        raise BrokenArchive("archive-checksum", "The entry's bytes do not match their checksum (CRC-32).", entry.name)
    return digest.hexdigest() if digest else ""


def blocks_of(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """The entry's bytes, which are not compared with its declared size and CRC. Raises BrokenArchive."""
    data_at = locate_data(file, entry)
    if data_at is None:
        raise BrokenArchive("archive-headers-differ", "The entry's two headers differ.", entry.name)
    file.seek(data_at)
    yield from _blocks(file, entry)


def _blocks(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """The entry's bytes in blocks of at most `_CHUNK`, never more than one byte above the declared size in all."""
    left = entry.packed
    if entry.method != DEFLATED:
        while left and (block := file.read(min(_CHUNK, left))):
            left -= len(block)
            yield block
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pending = b""
    try:
        while not inflater.eof:
            if not pending and left:
                pending = file.read(min(_CHUNK, left))
                left -= len(pending)
            block = inflater.decompress(pending, _CHUNK)
            if not block and not pending:
                break
            pending = inflater.unconsumed_tail
            yield block
    except zlib.error as error:
        raise BrokenArchive("archive-broken-data", f"The entry cannot be inflated: {error}.", entry.name) from error
    if not inflater.eof or inflater.unused_data or left:
        raise BrokenArchive("archive-broken-data", "The compressed data ends too early or too late.", entry.name)
