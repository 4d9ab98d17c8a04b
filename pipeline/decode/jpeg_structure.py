"""The markers of a JPEG file (ITU-T T.81, annex B): where it ends, and whether all of its data is there."""

import io
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

END = b"\xff\xd9"

_START, _SCAN, _EOI = 0xD8, 0xDA, 0xD9
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15; DHT, JPG and DAC are between them
_COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, all with Huffman coding
# After entropy-coded data: not a stuffed byte (FF00), a restart marker or padding.
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
_MOST_ZEROS = 2
_NOISE = bytes(range(1, 64, 2))
# Every restart marker, twice: whichever the decoder waits for, it finds it, and data behind it.
_FILLER = b"".join(_NOISE + bytes((0xFF, 0xD0 + number)) for number in range(8)) * 2 + _NOISE


class Segment(NamedTuple):
    """`at` is the offset of the marker, `body` the segment without marker and length; empty for the end marker."""

    marker: int
    at: int
    body: bytes


def is_common(content: bytes) -> bool:
    """Whether it is coded as nearly all JPEG files are: 8 bits, Huffman; others are read by few libraries."""
    for segment in _segments(content):
        if segment.marker in _FRAMES:
            return segment.marker in _COMMON_FRAMES and segment.body[:1] == b"\x08"
        if segment.marker == _SCAN:
            break
    return False


def end_of(content: bytes) -> int | None:
    """The offset behind the end marker; None where there is none, or where another file begins before it."""
    for segment in _segments(content):
        if segment.marker == _EOI:
            return segment.at + len(END)
        if segment.marker == _START:
            return None
    return None


def with_end(content: bytes) -> bytes | None:
    """`content`, which lacks its end marker, with one; None where more than the marker is missing."""
    bare = content.rstrip(b"\0")
    zeros = len(content) - len(bare)
    # Data may end with zeros; more of them are what an interrupted copy left.
    counts = [zeros] if zeros <= _MOST_ZEROS else range(_MOST_ZEROS + 1)
    for count in counts:
        data = (bare + bytes(count)).removesuffix(END[:1])
        if _has_all_scans(data + END) and _is_complete(data):
            return data + END
    return None


def _is_complete(data: bytes) -> bool:
    """Whether the last scan is.

    A decoder fills in missing data up to the next marker. Data that is complete is not affected by what lies behind.
    """
    try:
        return _pixels(data + END) == _pixels(data + _FILLER + END)
    except OSError:
        return False


def _pixels(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        return image.tobytes()


def _has_all_scans(content: bytes) -> bool:
    """Whether the scans cover all coefficients of all components in full precision."""
    components: set[int] = set()
    precise: dict[int, set[int]] = {}
    for segment in _segments(content):
        body = segment.body
        if segment.marker in _FRAMES and len(body) >= 6:
            components = set(body[6 : 6 + 3 * body[5] : 3])
        if segment.marker != _SCAN or len(body) < 4:
            continue
        count = body[0]
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        for component in body[1 : 1 + 2 * count : 2]:
            if bits & 15 == 0:
                precise.setdefault(component, set()).update(range(first, last + 1))
    return bool(components) and all(precise.get(one, set()) >= set(range(64)) for one in components)


def _segments(content: bytes) -> Iterator[Segment]:
    """From behind the start marker to the end marker; ends early where the structure is broken."""
    at = 2
    while match := _MARKER.match(content, at):
        at = match.end()
        marker = content[at - 1]
        if marker in (_EOI, _START):
            yield Segment(marker, at - 2, b"")
            return
        if at + 2 > len(content):
            return
        (length,) = struct.unpack_from(">H", content, at)
        yield Segment(marker, at - 2, content[at + 2 : at + length])
        at += max(2, length)
        if marker == _SCAN:
            found = _MARKER.search(content, at)
            if found is None:
                return
            at = found.start()
