"""Image files with something odd in their bytes, and files in images' clothing."""

import io
import itertools
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

SIZE = (96, 64)
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def photo(*, seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blocks of random colours: no two parts look the same, and all of its data matters."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpeg(*, seed: int = 0, mode: str = "RGB", **options: object) -> bytes:
    return saved(photo(seed=seed).convert(mode), "JPEG", **options)


def png(*, seed: int = 0, mode: str = "RGB") -> bytes:
    return saved(photo(seed=seed).convert(mode), "PNG")


def deep_grey(largest: int, *, seed: int = 0) -> npt.NDArray[np.uint16]:
    """Grey values from 0 to `largest`, each of which occurs."""
    grey = np.asarray(photo(seed=seed).convert("L"), dtype=np.float64)
    values = (grey - grey.min()) / (grey.max() - grey.min()) * largest
    return np.rint(values).astype(np.uint16)


def deep_rgb_png(largest: int, *, seed: int = 0) -> bytes:
    grey = deep_grey(largest, seed=seed)
    return rgb_png_of(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2))


def rgb_png_of(values: npt.NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits per channel, which Pillow does not write. `values`: rows x columns x 3."""
    raw = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(raw)), PNG_END)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def chunk_starts(content: bytes) -> list[int]:
    starts, at = [], 8
    while at < len(content):
        starts.append(at)
        at += 12 + struct.unpack_from(">I", content, at)[0]
    return starts


def with_chunk(content: bytes, kind: bytes, body: bytes, *, whole: bool = True) -> bytes:
    """With a chunk before the pixels; with a wrong checksum unless `whole`."""
    added = chunk(kind, body)
    if not whole:
        added = added[:-1] + bytes((added[-1] ^ 1,))
    at = chunk_starts(content)[1]
    return content[:at] + added + content[at:]


def marker_starts(content: bytes) -> list[int]:
    """The offsets of all markers of a JPEG but its first, among them those of its scans and its end."""
    starts, at = [], 2
    while at < len(content):
        marker = content[at + 1]
        starts.append(at)
        at += 2
        if marker == 0xD9:
            break
        at += struct.unpack_from(">H", content, at)[0]
        if marker == 0xDA:
            at = next(n for n in itertools.count(at) if content[n] == 0xFF and not _is_data(content[n + 1]))
    return starts


def _is_data(byte: int) -> bool:
    return byte == 0 or 0xD0 <= byte <= 0xD7


def with_xmp_orientation(orientation: int, *, seed: int = 0) -> bytes:
    return jpeg(seed=seed, xmp=f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{orientation}"/>'.encode())


def with_exif_orientation(kind: int, orientation: int, *, seed: int = 0) -> bytes:
    """A JPEG whose EXIF states the orientation as a number of this TIFF type (3 is the common one)."""
    value = struct.pack("<I", orientation)
    block = b"II*\0" + struct.pack("<IHHHI", 8, 1, 274, kind, 1) + value + bytes(4)
    return jpeg(seed=seed, exif=b"Exif\0\0" + block)


def tiff_of(bands: int, *, size: tuple[int, int] = SIZE) -> bytes:
    """An uncompressed TIFF of 8 bits in each of `bands`."""
    width, height = size
    pixels = bytes(width * height * bands)
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, 8), (277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, len(pixels))),
    ]
    return _tiff(pixels, entries)


def raw_tiff(*, dng: bool) -> bytes:
    """What a camera writes: a thumbnail that opens as a TIFF, and tags by which it is known as a raw file."""
    width, height = SIZE
    pixels = bytes(width * height)
    own = [(50706, 1, 4, 0x0401)] if dng else [(330, 4, 1, 8)]
    entries = [
        *((254, 4, 1, 1), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((271, 2, 4, 0x004E4F43), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(pixels))),
        *own,
    ]
    return _tiff(pixels, entries)


def _tiff(pixels: bytes, entries: list[tuple[int, int, int, int]]) -> bytes:
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + bytes(4)


def apple_png() -> bytes:
    """As Xcode writes it: the pixels are not in the format of zlib."""
    content = png()
    first, second = chunk_starts(content)[:2]
    pixels = chunk(b"IDAT", zlib.compress(bytes(SIZE[0] * SIZE[1] * 3 + SIZE[1]))[2:-4])
    return content[:first] + chunk(b"CgBI", b"\x50\0\x20\2") + content[first:second] + pixels + PNG_END


# What lies under the name of an image, and a word of the message about it.
CLOTHED: dict[str, tuple[bytes, str]] = {
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "HEIC"),
    "heif of another brand": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200), "HEIC"),
    "avif without pixels": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(200), "AVIF"),
    "cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200), "raw"),
    "mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(200), "video"),
    "mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(200), "video"),
    "avi": (b"RIFF\x10\0\0\0AVI LIST" + bytes(200), "video"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(200), "video"),
    "cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(200), "raw"),
    "dng": (raw_tiff(dng=True), "DNG"),
    "nef": (raw_tiff(dng=False), "NEF"),
    "raf": (b"FUJIFILMCCD-RAW 0201" + bytes(200), "raw"),
    "orf": (b"IIRO\x08\0\0\0" + bytes(200), "raw"),
    "psd": (b"8BPS\0\1" + bytes(200), "Photoshop"),
    "pdf": (b"%PDF-1.7\n" + bytes(200), "PDF"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "html": (b"\n<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    "json": (b'{"message": "Bad credentials"}', "JSON"),
    "text": (b"404: Not Found", "plain text"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "rar": (b"Rar!\x1a\7\1\0" + bytes(200), "RAR"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(200), "7z"),
    "zip": (b"PK\3\4" + bytes(200), "ZIP"),
    "gzip": (b"\x1f\x8b\x08" + bytes(200), "gzip"),
    "jpeg xl": (b"\xff\x0a" + bytes(200), "JPEG XL"),
    "dicom": (bytes(128) + b"DICM" + bytes(200), "DICOM"),
    "numpy": (b"\x93NUMPY\1\0" + bytes(200), "NumPy"),
    "zeros": (bytes(4000), "zero bytes"),
    "base64": (b"/9j/4AAQSkZJRgABAQAAAQ", "Base64"),
    "appledouble": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(200), "AppleDouble"),
    "saved as text": ("\ufffd\ufffd\ufffd\ufffd\0\x10JFIF".encode(), "saved as text"),
    "png by ftp": (png().replace(b"\r\n\x1a\n", b"\n\x1a\n", 1), "text mode"),
    "png of apple": (apple_png(), "CgBI"),
    "late jpeg": (b"\r\n" + jpeg(), "2 bytes before the JPEG"),
    "late png": (b"\0" * 7 + png(), "7 bytes before the PNG"),
    "five bands": (tiff_of(5), "TIFF of five bands"),
    "twelve bands": (tiff_of(12), "TIFF of 12 bands"),
}
