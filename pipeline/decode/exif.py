"""The orientation of an image by its EXIF."""

import struct

from PIL import Image

ORIENTATION_TAG = 274
_PREFIX = b"Exif\0\0"
_SHORT = 3
_ENTRY_BYTES = 12
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation_of(image: Image.Image) -> int:
    """1 to 8, as Pillow reads it; 1 where nothing (valid) is stated."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - broken EXIF does not make the pixels unusable; it is ignored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def stated_orientation(exif: bytes | None) -> int | None:
    """In the one way in which all readers look for it: 1 to 8, 1 where nothing (valid) is stated; None for a block that
    readers may take differently.

    Pillow also reads an orientation of other types, and one in XMP; OpenCV reads one 16-bit number in the first
    directory.
    """
    if not exif:
        return 1
    block = exif.removeprefix(_PREFIX)
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, at)
        for entry in range(at + 2, at + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", block, entry)
            if tag == ORIENTATION_TAG:
                return _checked(value) if (kind, values) == (_SHORT, 1) else None
    except struct.error:
        return None
    return 1


def _checked(value: int) -> int:
    """0 and numbers above 8 occur, and mean nothing to any reader."""
    return value if 1 <= value <= 8 else 1
