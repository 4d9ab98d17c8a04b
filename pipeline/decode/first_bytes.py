"""What a file is that is no readable image, by its first bytes, and what to do about it."""

import re
import struct
from collections.abc import Iterator

from pipeline.decode import png_structure

_SEARCHED = 1 << 16  # bytes in which the start of a JPEG or a PNG is looked for
_JPEG, _TEXT = "Save it as JPEG or PNG.", "Download the image itself."
_HEIF = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})
_DNG_VERSION, _MAKE, _SUBFILE, _SUB_IFDS, _SAMPLES = 50706, 271, 254, 330, 277
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_VALUES = {1: "B", 3: "H", 4: "I", 13: "I"}  # the types of whole numbers, in struct's letters
_MAX_BANDS = 4

_RAW = "a camera's raw file ({}), not a developed image"
_PREFIXES: tuple[tuple[bytes, str, str], ...] = (
    (b"8BPS", "a Photoshop document (PSD)", _JPEG),
    (b"%PDF", "a PDF document", "Export its images as JPEG or PNG."),
    (b"%!PS", "a PostScript file", "Export it as PNG."),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file (EPS)", "Export it as PNG."),
    (b"\xff\x0a", "a JPEG XL image", _JPEG),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image", _JPEG),
    (b"\0\0\1\0", "a Windows icon (ICO)", _JPEG),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", "Save it as 8-bit PNG, exposed as you need it."),
    (b"#?RADIANCE", "a Radiance HDR image", "Save it as 8-bit PNG, exposed as you need it."),
    (b"FUJIFILMCCD-RAW", _RAW.format("RAF"), _JPEG),
    (b"IIRO", _RAW.format("ORF"), _JPEG),
    (b"IIRS", _RAW.format("ORF"), _JPEG),
    (b"MMOR", _RAW.format("ORF"), _JPEG),
    (b"IIU\0", _RAW.format("RW2"), _JPEG),
    (b"FOVb", _RAW.format("X3F"), _JPEG),
    (b"\x93NUMPY", "a NumPy array", "Save its values as PNG."),
    (b"\x89HDF", "an HDF5 file", "Save its images as PNG."),
    (b"SIMPLE  =", "a FITS file", "Save its image as PNG."),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", "Save single frames as JPEG or PNG."),
    (b"FLV\1", "a video (FLV)", "Save single frames as JPEG or PNG."),
    (b"\0\0\1\xba", "a video (MPEG)", "Save single frames as JPEG or PNG."),
    (b"\0\0\1\xb3", "a video (MPEG)", "Save single frames as JPEG or PNG."),
    (b"Rar!\x1a\7", "a RAR archive", "Unpack it, and add the images themselves."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it, and add the images themselves."),
    (b"PK\3\4", "a ZIP archive or an Office document", "Unpack it, and add the images themselves."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it, and add the image itself."),
    (b"BZh", "a bzip2 archive", "Unpack it, and add the image itself."),
    (b"\xfd7zXZ\0", "an xz archive", "Unpack it, and add the image itself."),
    (b"version https://git-lfs", "a pointer of Git LFS, not the image", "Run `git lfs pull`, then make the ZIP."),
    (b"\0\5\x16\7", "a companion file of macOS (AppleDouble), not the image", "Remove it."),
    (b"\0\5\x16\0", "a companion file of macOS (AppleSingle), not the image", "Replace it with the image."),
    (b"data:image/", "the text of a data URL, not the image", "Decode its Base64."),
    (b"/9j/", "a JPEG as Base64 text", "Decode it."),
    (b"iVBORw0KGgo", "a PNG as Base64 text", "Decode it."),
    (b"\xef\xbf\xbd\xef\xbf\xbd", "an image whose bytes were saved as text, which destroyed them", "Copy it again."),
    (b"MZ", "a Windows program", "Remove it."),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "Export its images as JPEG or PNG."),
)


def describe(content: bytes) -> str | None:
    """Sentences about a file that no decoder opens, from its first bytes; None where they say nothing."""
    for what, remedy in _readings(content):
        return f"The file is {what}. {remedy}"
    return None


def is_apple_png(content: bytes) -> bool:
    return content.startswith(png_structure.SIGNATURE) and content[12:16] == b"CgBI"


def camera_raw(content: bytes) -> str | None:
    """The same for a TIFF file that is a camera's raw file: it opens, but what opens is a thumbnail."""
    tags = _tiff_tags(content)
    if content[8:10] == b"CR" and content[:4] in _TIFF_ORDERS:
        name = "CR2"
    elif _DNG_VERSION in tags:
        name = "DNG"
    elif _MAKE in tags and _SUB_IFDS in tags and tags.get(_SUBFILE, 0) & 1:
        name = "as NEF or ARW"
    else:
        return None
    return f"The file is {_RAW.format(name)}. {_JPEG}"


def _readings(content: bytes) -> Iterator[tuple[str, str]]:
    if content[4:8] == b"ftyp":
        yield _of_brand(content[8:12])
    for prefix, what, remedy in _PREFIXES:
        if content.startswith(prefix):
            yield what, remedy
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        yield "a video (AVI)", "Save single frames as JPEG or PNG."
    if content[128:132] == b"DICM":
        yield "a DICOM file", "Export its image as PNG, windowed as you need it."
    if not content[:_SEARCHED].strip(b"\0"):
        yield "nothing but zero bytes: a copy or download that was interrupted", "Copy it again."
    yield from _of_png(content)
    yield from _of_tiff(content)
    yield from _of_text(content[:1024])
    yield from _of_late_start(content)


def _of_brand(brand: bytes) -> tuple[str, str]:
    """ISO base media files, by their major brand."""
    if brand in _HEIF:
        return "HEIC, the format of an iPhone's camera", "Save it as JPEG."
    if brand in (b"avif", b"avis"):
        return "an AVIF image of a variant that is not decoded", _JPEG
    if brand == b"crx ":
        return _RAW.format("CR3"), _JPEG
    return "a video (MP4 or MOV)", "Save single frames as JPEG or PNG."


def _of_png(content: bytes) -> Iterator[tuple[str, str]]:
    if is_apple_png(content):
        yield "a PNG in Apple's own variant (CgBI), which only Apple's software reads", "Save it as an ordinary PNG."
    elif content.startswith(png_structure.SIGNATURE):
        if damaged := png_structure.damaged_chunk(content):
            yield f"a damaged PNG: its chunk {damaged} is cut off or has a wrong checksum", "Copy it again."
    elif content[:4] in (b"\x89PNG", b"\x89PN\r") or content[1:4] == b"PNG":
        yield "a PNG whose first bytes were changed, as by a transfer in text mode", "Copy it again in binary mode."


def _of_tiff(content: bytes) -> Iterator[tuple[str, str]]:
    if content[:4] not in (*_TIFF_ORDERS, b"II+\0", b"MM\0+"):
        return
    bands = _tiff_tags(content).get(_SAMPLES, 1)
    if content[8:10] == b"CR":
        yield _RAW.format("CR2"), _JPEG
    elif bands > _MAX_BANDS:
        yield f"a TIFF of {_number(bands)} bands", "Save the three that you mean as an RGB image."
    else:
        yield "a TIFF of a variant that is not decoded", _JPEG


def _of_text(start: bytes) -> Iterator[tuple[str, str]]:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if re.match(rb"<!doctype html|<html|<head|<body", text):
        yield "a web page (HTML), often an error page of a download", _TEXT
    elif re.match(rb"<svg|<\?xml.*<svg", text, re.DOTALL):
        yield "an SVG drawing", "Export it as PNG."
    elif text.startswith((b"<?xml", b"<")):
        yield "an XML document, often an error message of a download", _TEXT
    elif text.startswith((b"{", b"[")) and text.isascii():
        yield "JSON text, often an error message of a download", _TEXT
    elif text and re.fullmatch(rb"[\t\n\r\x20-\x7e]+", text):
        yield "plain text", _TEXT


def _of_late_start(content: bytes) -> Iterator[tuple[str, str]]:
    for name, signature in (("JPEG", b"\xff\xd8\xff"), ("PNG", png_structure.SIGNATURE)):
        at = content.find(signature, 1, _SEARCHED)
        if at > 0:
            some = "1 byte" if at == 1 else f"{at} bytes"
            yield f"no image from its start: it has {some} before the {name}", "Remove them, or save the image again."


def _tiff_tags(content: bytes) -> dict[int, int]:
    """The tags of the first directory, with their values where these are one whole number; else with 0."""
    order = _TIFF_ORDERS.get(content[:4])
    tags: dict[int, int] = {}
    try:
        if order is None:
            return {}
        (at,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", content, entry)
            letter = _TIFF_VALUES.get(kind) if values == 1 else None
            tags[tag] = struct.unpack_from(f"{order}{letter}", content, entry + 8)[0] if letter else 0
    except struct.error:
        pass
    return tags


def _number(count: int) -> str:
    words = {5: "five", 6: "six", 7: "seven", 8: "eight"}
    return words.get(count, str(count))
