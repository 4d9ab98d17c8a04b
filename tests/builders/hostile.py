"""Small inert samples of hostile and malformed files, made here, of the kinds that public corpora collect.

`zips` and `documents` are what every test of hostile input walks through. `corpus_zips` and `corpus_documents` are the
files of such a corpus (libzip's archives, defusedxml's documents) where DARKROOM_TEST_DATA names a folder with `bad/`.
"""

import io
import os
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
CONTENT = b"a line of a text\n" * 40
ZEROS = bytes(4 * 1024**2)
ENTRIES = {"a.xml": CONTENT, "b.xml": CONTENT[::-1]}  # no dataset: what is read is rejected too


def zips() -> dict[str, bytes]:
    return {name: make() for name, make in ZIPS.items()}


def documents() -> dict[str, bytes]:
    return dict(DOCUMENTS)


def corpus_zips() -> dict[str, bytes]:
    return _corpus("zips", "*.zip")


def corpus_documents() -> dict[str, bytes]:
    return _corpus("xml", "*.xml")


def doctypes(documents: dict[str, bytes]) -> dict[str, bytes]:
    """The document types with an internal subset, each to put before a sound annotation."""
    found = {name: re.search(rb"<!DOCTYPE.*\]>", content, flags=re.DOTALL) for name, content in documents.items()}
    return {name: match[0] + b"\n" for name, match in found.items() if match}


def _corpus(folder: str, pattern: str) -> dict[str, bytes]:
    paths = sorted((_test_data() / "bad" / folder).rglob(pattern))
    return {path.stem: path.read_bytes() for path in paths}


def _test_data() -> Path:
    return Path(os.environ.get("DARKROOM_TEST_DATA") or "unset")


NEEDS_CORPUS = (
    pytest.mark.slow,
    pytest.mark.skipif(not (_test_data() / "bad").is_dir(), reason="set DARKROOM_TEST_DATA to a folder with bad/"),
)
ALL_ZIPS = pytest.mark.parametrize("make_zips", [zips, pytest.param(corpus_zips, marks=NEEDS_CORPUS)])
ALL_DOCUMENTS = pytest.mark.parametrize(
    "make_documents", [documents, pytest.param(corpus_documents, marks=NEEDS_CORPUS)]
)


def _plain(
    entries: Mapping[str, bytes] = ENTRIES, *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), content, method)
    return out.getvalue()


def _entry(name: bytes, *, mode: int = 0, flags: int = 0) -> Callable[[], bytes]:
    """A whole entry, and one with this raw name and these mode bits."""

    def make() -> bytes:
        placeholder = "n" * len(name)
        content = bytearray(_plain({"a.xml": CONTENT, placeholder: CONTENT}).replace(placeholder.encode(), name))
        central = content.rindex(CENTRAL)
        struct.pack_into("<BB", content, central + 4, 20, 3)  # made on Unix: the mode counts
        struct.pack_into("<L", content, central + 38, mode << 16)
        for at in (central + 8, content.rindex(LOCAL) + 6):
            struct.pack_into("<H", content, at, flags)
        return bytes(content)

    return make


def _patched(*patches: tuple[bytes, int, bytes], base: Callable[[], bytes] = _plain) -> Callable[[], bytes]:
    """A whole archive with bytes replaced: (signature of a record, offset in its last occurrence, bytes)."""

    def make() -> bytes:
        content = bytearray(base())
        for signature, offset, value in patches:
            at = content.rindex(signature) + offset
            content[at : at + len(value)] = value
        return bytes(content)

    return make


def _both(local: int, central: int, value: int) -> Callable[[], bytes]:
    """The same 16-bit field in both headers of an entry."""
    return _patched((LOCAL, local, struct.pack("<H", value)), (CENTRAL, central, struct.pack("<H", value)))


def _cut(bytes_left: float) -> Callable[[], bytes]:
    return lambda: _plain()[: int(len(_plain()) * bytes_left)]


def _around(before: bytes = b"", behind: bytes = b"") -> Callable[[], bytes]:
    return lambda: before + _plain() + behind


def _gap(signature: bytes) -> Callable[[], bytes]:
    """64 bytes that belong to no record, before the first record with this signature; the offsets stay."""

    def make() -> bytes:
        content = _plain()
        at = content.index(signature)
        return content[:at] + bytes(64) + content[at:]

    return make


def _one_body_twice() -> bytes:
    """Two entries of the directory that share one local header and body (an overlapping bomb in small)."""
    content = _plain({"a.xml": CONTENT})
    start, end = content.index(CENTRAL), content.index(END)
    directory = content[start:end] + content[start:end].replace(b"a.xml", b"b.xml")
    return content[:start] + directory + struct.pack("<4s4H2LH", END, 0, 0, 2, 2, len(directory), start, 0)


def _understated_size() -> bytes:
    """Declares 1,000 bytes in both headers and inflates to 4 MiB."""
    size = struct.pack("<L", 1000)
    return _patched((LOCAL, 22, size), (CENTRAL, 24, size), base=lambda: _plain({"zeros.bmp": ZEROS}))()


def _streamed() -> bytes:
    """Sizes behind the data (a data descriptor), as a writer without a seekable file leaves them."""

    class Unseekable(io.RawIOBase):
        content = b""

        def writable(self) -> bool:
            return True

        def write(self, block: bytes) -> int:  # type: ignore[override] # zipfile passes bytes alone
            self.content += block
            return len(block)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ENTRIES.items():
            archive.writestr(name, content)
    return out.content


def _zip64() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a.xml", "w", force_zip64=True) as file:
        file.write(CONTENT)
    return out.getvalue()


def _zip64_end_elsewhere() -> bytes:
    """A zip64 locator that leads beyond the end of the file."""
    content = _patched((END, 16, b"\xff\xff\xff\xff"))()
    at = content.rindex(END)
    return content[:at] + struct.pack("<4sLQL", b"PK\6\7", 0, 2**40, 1) + content[at:]


def _two_of_one_name() -> bytes:
    return _plain({"a.xml": CONTENT, "\x7f.xml": CONTENT}).replace(b"\x7f.xml", b"a.xml")


ZIPS: dict[str, Callable[[], bytes]] = {
    "plain": _plain,
    "stored": lambda: _plain(method=zipfile.ZIP_STORED),
    "commented": lambda: _plain(comment=b"a comment"),
    "comment-with-end-record": lambda: _plain(comment=b"x" + END + bytes(18)),
    "folders": lambda: _plain({"a/": b"", "a/b/": b"", "a/b/c.xml": CONTENT}),
    "utf8-name": lambda: _plain({"ä.xml": CONTENT}),
    "streamed": _streamed,
    "zip64": _zip64,
    "zip-in-zip": lambda: _plain({"inner.zip": _plain({"inner.zip": _plain()})}),
    "date-differs": _patched((LOCAL, 10, bytes(4))),
    "empty-file": lambda: b"",
    "empty-archive": lambda: END + bytes(18),
    "no-archive": lambda: b"This is no archive.\n" * 20,
    "cut-early": _cut(0.2),
    "cut-in-directory": _cut(0.8),
    "cut-in-end-record": _cut(0.98),
    "junk-before": _around(before=bytes(64)),
    "junk-behind": _around(behind=b"junk" * 16),
    "gap-before-entry": _gap(LOCAL),
    "gap-before-directory": _gap(CENTRAL),
    "gap-before-end-record": _gap(END),
    "end-magic": _patched((END, 2, b"??")),
    "end-count-high": _patched((END, 8, struct.pack("<HH", 3, 3))),
    "end-count-low": _patched((END, 8, struct.pack("<HH", 1, 1))),
    "end-count-overflow": _patched((END, 8, struct.pack("<HH", 0xFFFF, 0xFFFF))),
    "end-directory-size-large": _patched((END, 12, struct.pack("<L", 10_000))),
    "end-directory-size-small": _patched((END, 12, struct.pack("<L", 10))),
    "end-directory-offset": _patched((END, 16, struct.pack("<L", 7))),
    "end-comment-longer": _patched((END, 20, struct.pack("<H", 100))),
    "end-comment-shorter": _patched((END, 20, bytes(2)), base=lambda: _plain(comment=b"a comment")),
    "many-disks": _patched((END, 4, struct.pack("<HH", 1, 1))),
    "zip64-end-elsewhere": _zip64_end_elsewhere,
    "zip64-extra-cut": _patched((CENTRAL, 20, b"\xff" * 8)),
    "central-magic": _patched((CENTRAL, 2, b"??")),
    "local-magic": _patched((LOCAL, 2, b"??")),
    "local-offset": _patched((CENTRAL, 42, struct.pack("<L", 5))),
    "local-offset-outside": _patched((CENTRAL, 42, struct.pack("<L", 2**31))),
    "method-differs": _patched((LOCAL, 8, bytes(2))),
    "name-differs": _patched((LOCAL, 30, b"z")),
    "local-name-length": _patched((LOCAL, 26, struct.pack("<H", 4))),
    "local-extra-length": _patched((LOCAL, 28, struct.pack("<H", 0xFFFF))),
    "central-extra-length": _patched((CENTRAL, 30, struct.pack("<H", 0xFFFF))),
    "central-comment-length": _patched((CENTRAL, 32, struct.pack("<H", 0xFFFF))),
    "crc-differs": _patched((CENTRAL, 16, b"\0\0\0\0")),
    "crc-wrong": _patched((CENTRAL, 16, b"\0\0\0\0"), (LOCAL, 14, b"\0\0\0\0")),
    "packed-size-large": _patched((CENTRAL, 20, struct.pack("<L", 10_000))),
    "packed-size-small": _patched((CENTRAL, 20, struct.pack("<L", 1))),
    "size-large": _patched((CENTRAL, 24, struct.pack("<L", 10_000))),
    "size-small": _patched((CENTRAL, 24, struct.pack("<L", 1))),
    "data-changed": _patched((LOCAL, 36, b"\xff\xff\xff\xff")),
    "size-understated": _understated_size,
    "ratio": lambda: _plain({"zeros.bmp": ZEROS}),
    "one-body-twice": _one_body_twice,
    "encrypted": _both(6, 8, 0x0001),
    "encrypted-strongly": _both(6, 8, 0x0041),
    "directory-masked": _both(6, 8, 0x2001),
    **{f"method-{method}": _both(8, 10, method) for method in (1, 6, 9, 12, 14, 93, 95, 97, 98, 99)},
    "name-empty": lambda: _plain({"": CONTENT}),
    "name-nul": _entry(b"a\0.xml"),
    "name-newline": _entry(b"a\n.xml"),
    "name-absolute": _entry(b"/etc/a.xml"),
    "name-drive": _entry(b"C:/a.xml"),
    "name-parent": _entry(b"../../a.xml"),
    "name-parent-inside": _entry(b"a/../../b.xml"),
    "name-backslashes": _entry(b"..\\..\\a.xml"),
    "name-not-utf8": _entry(b"\xff\xfe.xml", flags=0x0800),
    "name-long": lambda: _plain({"n" * 4000: CONTENT}),
    "name-deep": lambda: _plain({"n/" * 500 + "a.xml": CONTENT}),
    "name-twice": _two_of_one_name,
    "file-and-folder": lambda: _plain({"a": CONTENT, "a/b": CONTENT}),
    "symbolic-link": _entry(b"link.xml", mode=0o120777),
    "device": _entry(b"tty.xml", mode=0o020666),
    "pipe": _entry(b"pipe.xml", mode=0o010666),
}


def _entities(*entities: str, text: str, root: str = "annotation") -> bytes:
    return f"<!DOCTYPE {root} [\n{chr(10).join(entities)}\n]>\n<{root}>{text}</{root}>\n".encode()


DOCUMENTS: dict[str, bytes] = {
    "cyclic": _entities('<!ENTITY a "1 &b;">', '<!ENTITY b "&a;">', text="&a;"),
    "multiplying": _entities(
        '<!ENTITY a "ha">',
        *(f'<!ENTITY {name} "{f"&{last};" * 8}">' for last, name in zip("abcdef", "bcdefg", strict=True)),
        text="&g;",
    ),
    "one-entity": _entities('<!ENTITY a "1234567890">', text="&a;"),
    "quadratic": _entities(f'<!ENTITY a "{"x" * 10_000}">', text="&a;" * 100),
    "external-address": _entities('<!ENTITY a SYSTEM "http://127.0.0.1:1/a.xml">', text="&a;"),
    "external-file": _entities('<!ENTITY a SYSTEM "file:///etc/hostname">', text="&a;"),
    "parameter-entity": _entities('<!ENTITY % a SYSTEM "http://127.0.0.1:1/a.dtd">', "%a;", text=""),
    "declared-elements": _entities("<!ELEMENT annotation (object)>", "<!ELEMENT object (#PCDATA)>", text="<object/>"),
    "public-dtd": b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:1/a.dtd">\n<html><body/></html>\n',
    "foreign-root": b"<!-- comment -->\n<root>\n  <element key='value'>text</element>tail\n  <empty/>\n</root>\n",
    "foreign-namespace": b"<?pi data?>\n<root xmlns='namespace'><element/></root>\n",
    "style-sheet": (
        b'<?xml-stylesheet href="http://127.0.0.1:1/a.xsl"?>\n'
        b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>\n'
    ),
    "unclosed": b"<annotation><object>",
    "empty": b"",
    "binary": bytes(range(256)),
}
