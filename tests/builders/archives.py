"""Archives as people upload them by mistake, and ZIPs as Finder writes them."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
from pathlib import Path
from zlib import crc32

from tests.builders.voc import Files


def finder_zip(path: Path, files: Files, *, empty: int) -> Path:
    """`files` and so many empty ones, stored, without ZIP64: the end record counts them modulo 65,536."""
    named = files | {f"v/x/{number:05d}.dat": b"" for number in range(empty)}
    out, directory = io.BytesIO(), io.BytesIO()
    header = 0
    for name, content in named.items():
        raw = name.encode()
        sizes = (crc32(content), len(content), len(content), len(raw))
        out.write(struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes, 0) + raw + content)
        directory.write(struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes, 0, 0, 0, 0, 0, header) + raw)
        header += 30 + len(raw) + len(content)
    count, entries = len(named) % 65_536, directory.getvalue()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entries), header, 0)
    path.write_bytes(out.getvalue() + entries + end)
    return path


def tar_bytes(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def mistaken_uploads(zipped: bytes) -> dict[str, bytes]:
    """Word that the message must contain -> bytes. `zipped`: a sound ZIP."""
    tar = tar_bytes({"set/data.bin": bytes(100)})
    return {
        "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(200),
        "7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(200),
        "gzip": gzip.compress(tar),
        "bzip2": bz2.compress(tar),
        "xz": lzma.compress(tar),
        "tar archive": tar,
        "tar archive: unpack": tar_bytes({"inner.zip": zipped}),
        "web page": b"\n<!DOCTYPE html><html><body>Sign in</body></html>",
        "web page (HTML)": b"\xef\xbb\xbf<html>404</html>",
        "XML text": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "JSON text": b'{"message": "Not Found"}',
        "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "empty": b"",
        "zero bytes": bytes(5000),
        "JPEG": b"\xff\xd8\xff\xe0" + bytes(60),
        "cut off": zipped[: len(zipped) // 2],
    }
