"""ZIPs whose entries compress extremely well: what is small when it is uploaded, and large when it is read."""

import struct
import zlib
from functools import lru_cache
from pathlib import Path

from tests.builders.voc import Files


def write_bomb(path: Path, files: Files) -> Path:
    """Equal contents are deflated once, so that a thousand of them take no longer than one."""
    central, at = b"", 0
    with path.open("wb") as out:
        for name, content in files.items():
            central += _central(name.encode(), content, at)
            at += out.write(_local(name.encode(), content))
        out.write(central)
        out.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(files), len(files), len(central), at, 0))
    return path


@lru_cache(maxsize=64)
def _packed(content: bytes) -> tuple[bytes, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(), zlib.crc32(content)


def _local(name: bytes, content: bytes) -> bytes:
    packed, crc = _packed(content)
    sizes = (crc, len(packed), len(content), len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, *sizes) + name + packed


def _central(name: bytes, content: bytes, at: int) -> bytes:
    packed, crc = _packed(content)
    fields = (20, 20, 0, 8, 0, 33, crc, len(packed), len(content), len(name), 0, 0, 0, 0, 0, at)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name
