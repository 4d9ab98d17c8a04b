"""What a file is that is called a ZIP and is none, by its first bytes, and what to do about it."""

HEAD_BYTES = 512  # the mark of a tar is at 257

_UNPACK = "unpack it, and create a ZIP of the folder."
_AGAIN = "download the dataset again, and check that the link needs no login."
_MARKS = (
    (b"Rar!\x1a\x07", f"a RAR archive: {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (b"\x1f\x8b", f"a gzip file, often a .tar.gz: {_UNPACK}"),
    (b"BZh", f"a bzip2 file, often a .tar.bz2: {_UNPACK}"),
    (b"\xfd7zXZ\0", f"an xz file, often a .tar.xz: {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"a zstd file: {_UNPACK}"),
    (b"MSCF", f"a CAB archive: {_UNPACK}"),
    (b"PK\x07\x08", "the first part of a ZIP in several parts: create a single ZIP."),
    (b"PAR1", "a Parquet table: create a ZIP of it, as `data/train-00000-of-00001.parquet`."),
    (b"\x89HDF\r\n", "an HDF5 file: save its images and labels as files, and create a ZIP of them."),
    (b"\xff\xd8\xff", "a JPEG image: create a ZIP of the folder of images and annotations."),
    (b"\x89PNG\r\n", "a PNG image: create a ZIP of the folder of images and annotations."),
    (b"%PDF-", "a PDF document: create a ZIP of the folder of images and annotations."),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, a text of three lines that stands for the file: run `git lfs pull`.",
    ),
)
_TAR_AT = 257
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")


def name_content(head: bytes) -> str | None:
    """A sentence about the file that begins with `head`: what it is, and what to do. None for unknown bytes."""
    if not head:
        return "The file is empty: upload it again."
    if head.startswith(b"PK\x03\x04"):
        return (
            "The file begins as a ZIP and has no end: it was cut off. Download or create it again, and upload it whole."
        )
    found = next((text for mark, text in _MARKS if head.startswith(mark)), None) or _name_text(head)
    if found is None and head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        found = f"a tar archive: {_UNPACK}"
    if found is None and len(head) == HEAD_BYTES and not any(head):
        found = f"a file of zero bytes, as an interrupted download leaves it: {_AGAIN}"
    return f"The file is not a ZIP but {found}" if found else None


def _name_text(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_PAGES):
        return f"a web page (HTML), usually an error or a login page instead of the download: {_AGAIN}"
    if start.startswith(b"<?xml"):
        page = b"<html" in start
        return f"a web page (HTML): {_AGAIN}" if page else f"an XML text, often the error message of a server: {_AGAIN}"
    if start.startswith((b'{"', b"{\n", b"{\r", b"[{")):
        return f"a JSON text, an annotation file or the error message of a server: {_AGAIN}"
    return None
