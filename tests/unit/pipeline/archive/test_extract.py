"""Archive validation: what an archive is refused for, and that nothing of it reaches the disk."""

import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.domain import limits
from core.domain.errors import OutOfSpace
from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.archive.zip_directory import read_directory
from pipeline.archive.zip_rules import validate
from tests.builders import hostile
from tests.builders.bombs import write_bomb
from tests.builders.voc import JUNK, image_bytes, zip_files

IMAGE = image_bytes()


def _extract(archive: Path, into: Path, *, scratch_bytes: int = 0) -> ExtractedArchive:
    into.mkdir(exist_ok=True)
    return extract(archive, into, threads=2, tick=lambda *_: None, scratch_bytes=scratch_bytes)[0]


def _refusal_codes(archive: Path, into: Path) -> set[str]:
    """The codes of the refusal; also asserts that it left nothing behind."""
    with pytest.raises(Rejected) as refused:
        _extract(archive, into)
    assert refused.value.problem.slug == "archive-refused"
    return {finding.code for finding in refused.value.findings}


def _named(name: str) -> Callable[[Path], None]:
    return lambda path: _with_entry(path, zipfile.ZipInfo(name))


def _with_entry(path: Path, info: zipfile.ZipInfo, content: bytes = IMAGE) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.jpg", IMAGE)
        archive.writestr(info, content)


def _mode(mode: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        info = zipfile.ZipInfo("link.jpg")
        info.create_system, info.external_attr = 3, mode << 16
        _with_entry(path, info, b"/etc/passwd")

    return write


def _two(first: str, second: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(first, IMAGE)
            with pytest.warns(UserWarning) if first == second else _nothing():
                archive.writestr(second, IMAGE)

    return write


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _patched(find: bytes, offset: int, value: bytes) -> Callable[[Path], None]:
    """A good archive with bytes changed `offset` behind the last occurrence of `find`."""

    def write(path: Path) -> None:
        zip_files(path, {"a.jpg": IMAGE, "b.jpg": IMAGE})
        content = bytearray(path.read_bytes())
        at = content.rindex(find) + offset
        content[at : at + len(value)] = value
        path.write_bytes(content)

    return write


def _around(before: bytes, behind: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(before + zip_files(path, {"a.jpg": IMAGE}).read_bytes() + behind) and None


def _bomb(path: Path) -> None:
    zip_files(path, {"zeros.bmp": bytes(4 * 1024 * 1024)})


def _lying_bomb(path: Path) -> None:
    """Declares 1,000 bytes and inflates to 4 MB."""
    real = bytes(4 * 1024 * 1024)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflater.compress(real) + deflater.flush()
    path.write_bytes(_raw_zip([(b"zeros.bmp", packed, zlib.crc32(real), 1000, 0)]))


def _overlap(path: Path) -> None:
    """Fifield: two directory entries, one local header and body."""
    raw = _raw_zip([(b"a.jpg", zlib.compress(IMAGE)[2:-4], zlib.crc32(IMAGE), len(IMAGE), 0)] * 2, shared=True)
    path.write_bytes(raw)


def _raw_zip(entries: list[tuple[bytes, bytes, int, int, int]], *, shared: bool = False) -> bytes:
    """A ZIP written field by field: (name, deflated bytes, crc, declared size, flags)."""
    out, directory = io.BytesIO(), io.BytesIO()
    for number, (name, packed, crc, size, flags) in enumerate(entries):
        header = 0 if shared else out.tell()
        if not (shared and number):
            out.write(struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, 8, 0, 0, crc, len(packed), size, len(name), 0))
            out.write(name + packed)
        fields = (20, 20, flags, 8, 0, 0, crc, len(packed), size, len(name), 0, 0, 0, 0, 0, header)
        directory.write(struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name)
    at = out.tell()
    out.write(directory.getvalue())
    end = (0, 0, len(entries), len(entries), len(directory.getvalue()), at, 0)
    return out.getvalue() + struct.pack("<4s4H2LH", b"PK\5\6", *end)


HOSTILE: list[tuple[str, Callable[[Path], object], str]] = [
    ("absolute path", _named("/etc/cron.d/evil.jpg"), "archive-absolute-path"),
    ("parent path", _named("a/../../evil.jpg"), "archive-parent-path"),
    ("backslash parent path", _named("a\\..\\..\\evil.jpg"), "archive-parent-path"),
    ("drive", _named("C:/evil.jpg"), "archive-absolute-path"),
    ("drive with backslash", _named("c:\\evil.jpg"), "archive-absolute-path"),
    ("network share", _named("\\\\server\\share\\evil.jpg"), "archive-absolute-path"),
    ("NUL in the name", _patched(b"b.jpg", 1, b"\0"), "archive-name-invalid"),
    ("newline in the name", _named("a\nb.jpg"), "archive-name-invalid"),
    ("name too long", _named("a" * (limits.MAX_NAME_BYTES - 3) + ".jpg"), "archive-name-too-long"),
    ("too many folders", _named("a/" * limits.MAX_DEPTH + "b.jpg"), "archive-name-too-long"),
    ("symbolic link", _mode(0o120777), "archive-special-file"),
    ("device", _mode(0o020666), "archive-special-file"),
    ("pipe", _mode(0o010666), "archive-special-file"),
    ("duplicate name", _two("x.jpg", "x.jpg"), "archive-duplicate-name"),
    (
        "NFC-equal names",
        _two(unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg")),
        "archive-duplicate-name",
    ),
    ("encrypted", _patched(b"PK\1\2", 8, b"\1"), "archive-encrypted"),
    ("other compression", lambda path: zip_files(path, {"a.jpg": IMAGE}, compression=14), "archive-compression"),
    ("ratio", _bomb, "archive-ratio"),
    ("lying size", _lying_bomb, "archive-size-mismatch"),
    ("overlapping entries", _overlap, "archive-overlap"),
    ("central size differs", _patched(b"PK\1\2", 24, b"\1\0\0\0"), "archive-headers-differ"),
    ("central name differs", _patched(b"b.jpg", 0, b"c"), "archive-headers-differ"),
    ("local signature gone", _patched(b"PK\3\4", 0, b"XX"), "archive-headers-differ"),
    ("wrong checksum", _patched(b"PK\3\4", 60, b"\0\0\0\0"), "archive-"),
    ("leading bytes", _around(b"#!/bin/sh\n", b""), "archive-inconsistent"),
    ("trailing bytes", _around(b"", b"more"), "archive-trailing-bytes"),
    ("no ZIP", lambda path: path.write_bytes(IMAGE), "archive-not-a-zip"),
    ("empty file", lambda path: path.write_bytes(b""), "archive-not-a-zip"),
    ("cut", lambda path: path.write_bytes(zip_files(path, {"a.jpg": IMAGE}).read_bytes()[:-30]), "archive-not-a-zip"),
    ("wrong count", _patched(b"PK\5\6", 8, b"\3\0\3\0"), "archive-inconsistent"),
    ("several disks", _patched(b"PK\5\6", 4, b"\1\0"), "archive-multi-disk"),
]


@pytest.mark.parametrize(("write", "code"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_archive_is_refused_with_a_reason(tmp_path: Path, write: Callable[[Path], object], code: str) -> None:
    archive, into = tmp_path / "hostile.zip", tmp_path / "into"
    write(archive)
    codes = _refusal_codes(archive, into)
    assert any(found.startswith(code) for found in codes), codes
    assert {path.name for path in tmp_path.iterdir()} <= {"hostile.zip", "into", "home"}


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [
        ("MAX_ENTRIES", 3, "archive-too-many-entries"),
        ("MAX_ENTRY_BYTES", 1000, "archive-entry-too-large"),
        ("MAX_TOTAL_BYTES", 4000, "archive-too-large"),
    ],
)
def test_counts_and_sizes_end_at_their_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, code: str
) -> None:
    def archive(name: str, sizes: list[int]) -> Path:
        files = {f"{number}.jpg": bytes(size) for number, size in enumerate(sizes)}
        return zip_files(tmp_path / name, files, compression=zipfile.ZIP_STORED)

    monkeypatch.setattr(limits, limit, value)
    within = {"MAX_ENTRIES": [1] * 3, "MAX_ENTRY_BYTES": [1000], "MAX_TOTAL_BYTES": [2000, 2000]}[limit]
    beyond = {"MAX_ENTRIES": [1] * 4, "MAX_ENTRY_BYTES": [1001], "MAX_TOTAL_BYTES": [2000, 2001]}[limit]
    assert len(_extract(archive("within.zip", within), tmp_path / "a").files) == len(within)
    assert _refusal_codes(archive("beyond.zip", beyond), tmp_path / "b") == {code}


@pytest.mark.parametrize(("limit", "value"), [("MAX_FOLDER_LEVELS", 9), ("MAX_FOLDER_CHARACTERS", 45)])
def test_folders_may_have_so_many_levels_and_so_long_names_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    files = {f"a/b/{folder}/{number}.jpg": IMAGE for folder in "xyz" for number in range(3)}
    archive = zip_files(tmp_path / "data.zip", files)
    monkeypatch.setattr(limits, limit, value)  # three folders, each three deep with five characters
    assert len(_extract(archive, tmp_path / "within").files) == 9
    monkeypatch.setattr(limits, limit, value - 1)
    assert _refusal_codes(archive, tmp_path / "beyond") == {"archive-name-too-long"}


@pytest.mark.parametrize(("scratch_bytes", "times"), [(0, 2), (1024**3, 3)])
def test_space_is_required_for_the_files_their_tar_and_scratch_as_large_as_the_files_at_most(
    scratch_bytes: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zip_files(tmp_path / "data.zip", {"a.jpg": IMAGE})
    spare = 64 * 1024**2
    (tmp_path / "into").mkdir()
    free = SimpleNamespace(free=times * len(IMAGE) + spare - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _place: free)
    with pytest.raises(OutOfSpace):
        _extract(archive, tmp_path / "into", scratch_bytes=scratch_bytes)
    free.free += 1
    assert _extract(archive, tmp_path / "into", scratch_bytes=scratch_bytes).files


def test_an_archive_in_an_archive_is_never_opened(tmp_path: Path) -> None:
    inner = zip_files(tmp_path / "inner.zip", {"../../evil.jpg": IMAGE}).read_bytes()
    nested = {f"set/inner.{suffix}": inner for suffix in ("zip", "tar", "7z", "gz", "jar", "docx")}
    source = _extract(zip_files(tmp_path / "data.zip", {"set/a.jpg": IMAGE, **nested}), tmp_path / "into")
    assert [file.name for file in source.files] == ["set/a.jpg"]
    assert set(source.left_out) == set(nested)


def test_a_zip64_record_that_lies_is_refused(tmp_path: Path) -> None:
    content = zip_files(tmp_path / "base.zip", {"a.jpg": IMAGE}).read_bytes()
    end_at = content.index(b"PK\5\6")
    _, _, _, count, total, size, at, _ = struct.unpack("<4s4H2LH", content[end_at:])
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end_at, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

    def with_record(count: int, size: int, at: int, locator: bytes = locator, end: bytes = end) -> Path:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, at)
        path = tmp_path / "zip64.zip"
        path.write_bytes(content[:end_at] + record + locator + end)
        return path

    assert len(_extract(with_record(count, size, at), tmp_path / "good").files) == 1
    for number, lying in enumerate(
        (
            with_record(count, size, at + 1),
            with_record(count, size - 1, at),
            with_record(count + 1, size, at),
            with_record(2**40, 2**60, at),
            with_record(count, 2**63, 2**63),
        )
    ):
        assert _refusal_codes(lying, tmp_path / str(number)) <= {"archive-inconsistent", "archive-too-many-entries"}
    both = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, total + 1, total + 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert _refusal_codes(with_record(count, size, at, end=both), tmp_path / "two") == {"archive-inconsistent"}


def test_a_lying_size_never_grows_beyond_what_it_declared(tmp_path: Path) -> None:
    _lying_bomb(tmp_path / "bomb.zip")
    _refusal_codes(tmp_path / "bomb.zip", tmp_path / "into")
    assert sum(path.stat().st_size for path in (tmp_path / "into").rglob("*")) <= 1000


def test_all_reasons_are_reported_at_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("/abs.jpg", "../up.jpg", "C:/drive.jpg"):
            archive.writestr(name, IMAGE)
        archive.writestr("zeros.bmp", bytes(4 * 1024 * 1024), zipfile.ZIP_DEFLATED)
    codes = _refusal_codes(tmp_path / "all.zip", tmp_path / "into")
    assert codes == {"archive-absolute-path", "archive-parent-path", "archive-ratio"}


def test_only_data_reaches_the_disk_and_never_under_its_own_name(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "data.zip", {"set/a b (1).JPG": IMAGE, "set/a.xml": b"<a/>", **JUNK})
    source = _extract(archive, tmp_path / "into")
    text = {"README.txt", "data.yaml"}  # read as data, if at all
    assert [file.name for file in source.files] == [*sorted(text), "set/a b (1).JPG", "set/a.xml"]
    (written,) = (tmp_path / "into").iterdir()
    in_it = sorted(source.files, key=lambda file: file.at)
    assert [file.name for file in in_it] == ["set/a b (1).JPG", *sorted(text), "set/a.xml"]  # images first
    assert written.read_bytes() == b"".join(file.byte_range.read() for file in in_it)
    assert set(source.left_out) == set(JUNK) - text


def test_windows_backslashes_and_unmarked_utf8_are_understood(tmp_path: Path) -> None:
    packed = zlib.compress(IMAGE)[2:-4]
    entry = (packed, zlib.crc32(IMAGE), len(IMAGE), 0)
    raw = _raw_zip([(b"set\\a.jpg", *entry), ("set/\u56fe.jpg".encode(), *entry), (b"./set/b.jpg", *entry)])
    (tmp_path / "data.zip").write_bytes(raw)
    source = _extract(tmp_path / "data.zip", tmp_path / "into")
    assert {file.name for file in source.files} == {"set/a.jpg", "set/\u56fe.jpg", "set/b.jpg"}


def test_zip64_and_streamed_archives_are_accepted(tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, block: bytes) -> int:  # type: ignore[override]
            self.content += block
            return len(block)

    out = Unseekable()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.jpg", "w", force_zip64=True) as file,
    ):
        file.write(IMAGE)
    (tmp_path / "data.zip").write_bytes(out.content)
    source = _extract(tmp_path / "data.zip", tmp_path / "into")
    assert source.files[0].byte_range.read() == IMAGE


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=12))
@example(0, b"\xff" * 12)
def test_a_fuzzed_archive_is_refused_or_read_and_never_crashes(tmp_path: Path, at: int, noise: bytes) -> None:
    content = bytearray(zip_files(tmp_path / "base.zip", {"a.xml": b"<annotation/>", "b.xml": b"<b/>"}).read_bytes())
    at %= len(content)
    content[at : at + len(noise)] = noise[: len(content) - at]
    (tmp_path / "fuzzed.zip").write_bytes(content)
    try:
        source = _extract(tmp_path / "fuzzed.zip", tmp_path / "into")
    except Rejected as refused:
        assert refused.findings
        return
    for file in source.files:
        assert zlib.crc32(file.byte_range.read()) in {zlib.crc32(b"<annotation/>"), zlib.crc32(b"<b/>")}


@hostile.ALL_ZIPS
def test_every_hostile_zip_is_refused_or_read(tmp_path: Path, make_zips: Callable[[], dict[str, bytes]]) -> None:
    outcomes = {"read": 0, "refused": 0}
    for number, (name, content) in enumerate(make_zips().items()):
        archive = tmp_path / f"{number}.zip"
        archive.write_bytes(content)
        try:
            _extract(archive, tmp_path / f"{number}")
            outcomes["read"] += 1
        except Rejected as refused:
            assert refused.findings, name
            outcomes["refused"] += 1
    assert outcomes["refused"] > 50 and outcomes["read"] >= 10


def test_names_in_another_code_page_are_reported_once(tmp_path: Path) -> None:
    gbk, russian = "狗/1.jpg".encode("gbk"), "кот.jpg".encode("cp866")
    utf8 = "犬 1.jpg".encode()
    whole = (zlib.compress(IMAGE)[2:-4], zlib.crc32(IMAGE), len(IMAGE), 0)
    (tmp_path / "a.zip").write_bytes(_raw_zip([(name, *whole) for name in (gbk, russian, utf8, b"plain.jpg")]))
    _, notes = extract(tmp_path / "a.zip", tmp_path, threads=2, tick=lambda *_: None)
    assert [(note.code, note.severity, note.path) for note in notes] == [
        ("names-unusual", "note", min(gbk.decode("cp437"), russian.decode("cp437"), utf8.decode())),
        ("names-encoding-guessed", "warning", min(gbk.decode("cp437"), russian.decode("cp437"))),
    ]
    assert notes[0].detail.startswith("3 names have spaces") and notes[1].detail.startswith("2 names are not UTF-8")


def test_a_flat_image_is_refused_with_what_can_be_done_about_it(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "a.zip", {"a/white.bmp": b"BM" + bytes(limits.RATIO_FREE_BYTES * 2)})
    with pytest.raises(Rejected) as refused:
        _extract(archive, tmp_path)
    (finding,) = refused.value.findings
    assert (finding.code, finding.path) == ("archive-ratio", "a/white.bmp")
    assert finding.remedy == "Leave the files out; save such images as PNG or JPEG."


def test_a_thousand_entries_of_the_free_size_are_refused_together(tmp_path: Path) -> None:
    zeros = bytes(limits.RATIO_FREE_BYTES)
    archive = write_bomb(tmp_path / "a.zip", {f"a/{number}.bmp": zeros for number in range(1024)})
    assert archive.stat().st_size < 1_300_000
    with pytest.raises(Rejected) as refused:
        _extract(archive, tmp_path)
    (finding,) = refused.value.findings
    assert (finding.code, finding.path) == ("archive-ratio", "")
    assert finding.detail.startswith("1024 entries with ") and " would grow to 1073741824; at most " in finding.detail


def test_the_ratio_of_an_archive_ends_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(100_000)
    archive = write_bomb(tmp_path / "a.zip", {f"a/{number}.bmp": zeros for number in range(4)})
    packed = sum(entry.compress_size for entry in zipfile.ZipFile(archive).infolist())
    monkeypatch.setattr(limits, "RATIO_FREE_TOTAL_BYTES", 4 * len(zeros) - limits.MAX_RATIO * packed)
    assert len(_extract(archive, tmp_path / "within").files) == 4
    monkeypatch.setattr(limits, "RATIO_FREE_TOTAL_BYTES", limits.RATIO_FREE_TOTAL_BYTES - 1)
    assert _refusal_codes(archive, tmp_path / "beyond") == {"archive-ratio"}


def test_a_set_of_plain_figures_in_bmp_is_no_bomb(tmp_path: Path) -> None:
    """Ten figures of one colour each in 640 x 480 pixels: BMP files that deflate to a 200th or less."""
    figures = Image.new("RGB", (640, 480), "white")
    for number in range(10):
        at = 40 * number
        ImageDraw.Draw(figures).ellipse((at, at, at + 120, at + 60 + number), fill=(20 * number, 80, 160))
    content = io.BytesIO()
    figures.save(content, "BMP")
    archive = write_bomb(tmp_path / "a.zip", {f"a/{number}.bmp": content.getvalue() for number in range(500)})
    with archive.open("rb") as file:
        assert validate(file, *read_directory(file, None)) == []
