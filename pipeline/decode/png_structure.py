"""The chunks of a PNG file: whether all are whole, and the file without those that are not."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))

_HEADER_BYTES, _CRC_BYTES = 8, 4
_XMP = b"iTXtXML:com.adobe.xmp"
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})


class Chunk(NamedTuple):
    """From `at` to `end` of the file. `whole`: all of it is there and its checksum is right."""

    kind: bytes
    at: int
    end: int
    whole: bool


def oddity(content: bytes) -> str:
    """What a strict reader objects to, as the end of a sentence; empty for a sound file."""
    last = b""
    for chunk in _chunks(content):
        last = chunk.kind
        if not chunk.whole:
            return "no end chunk (IEND)" if last == b"IEND" else f"a chunk {_name(last)} with a wrong checksum"
    return "" if last == b"IEND" else "no end chunk (IEND)"


def damaged_chunk(content: bytes) -> str:
    """The name of a chunk of the pixels that is damaged; empty for none."""
    return next((_name(each.kind) for each in _chunks(content) if each.kind in _PIXELS and not each.whole), "")


def restored(content: bytes) -> bytes | None:
    """The pixels, their orientation and an end chunk, and nothing else; None where a chunk of the pixels is damaged."""
    chunks = list(_chunks(content))
    if any(not chunk.whole for chunk in chunks if chunk.kind in _PIXELS):
        return None
    kept = [content[chunk.at : chunk.end] for chunk in chunks if chunk.whole and _is_needed(content, chunk)]
    return SIGNATURE + b"".join(kept) + END if kept else None


def _is_needed(content: bytes, chunk: Chunk) -> bool:
    return chunk.kind in _PIXELS or chunk.kind == b"eXIf" or content.startswith(_XMP, chunk.at + 4)


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "replace") if kind.isalpha() else repr(kind)


def _chunks(content: bytes) -> Iterator[Chunk]:
    """Up to the end chunk, or to the end of the file."""
    at = len(SIGNATURE)
    view = memoryview(content)
    while at + _HEADER_BYTES <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + _HEADER_BYTES + length + _CRC_BYTES
        crc = zlib.crc32(view[at + 4 : at + _HEADER_BYTES + length])
        whole = end <= len(content) and content[end - _CRC_BYTES : end] == struct.pack(">I", crc)
        yield Chunk(kind, at, end, whole)
        if kind == b"IEND":
            return
        at = end
