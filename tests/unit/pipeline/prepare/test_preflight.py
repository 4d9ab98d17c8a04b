"""The preflight: from the end of the ZIP alone, what archive validation refuses, and never more."""

import io
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.formats import read_dataset
from pipeline.prepare.preflight import ArchiveEnd, MoreBytesNeeded, guess_format, inspect_archive_end
from tests.builders.voc import voc_zip, zip_files
from tests.unit.pipeline.archive.test_extract import HOSTILE

# What lies in the entries and not in the directory.
ONLY_INSIDE = {"archive-headers-differ", "archive-size-mismatch", "archive-checksum", "archive-broken-data"}


def preflighted(content: bytes, *, sent: int | None = None) -> dict[str, Any]:
    """The answer for the last `sent` bytes, and for as many more as are requested."""
    needed = min(65_557 if sent is None else sent, len(content))
    for _ in range(4):
        end = io.BytesIO(content[len(content) - needed :])
        try:
            return inspect_archive_end(ArchiveEnd(end, len(content)), len(content))  # type: ignore[arg-type] # reads and seeks
        except MoreBytesNeeded as more:
            assert needed < more.bytes <= len(content)
            needed = more.bytes
    raise AssertionError("it requests more again and again")


def extraction_codes(archive: Path, into: Path) -> set[str]:
    into.mkdir(exist_ok=True)
    try:
        extract(archive, into, threads=1, tick=lambda *_: None)
    except Rejected as refused:
        return {finding.code for finding in refused.findings}
    return set()


@pytest.mark.parametrize(("write", "code"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_the_preflight_finds_in_the_directory_what_extraction_finds_there(
    tmp_path: Path, write: Callable[[Path], object], code: str
) -> None:
    archive = tmp_path / "hostile.zip"
    write(archive)
    codes = {finding["code"] for finding in preflighted(archive.read_bytes())["findings"]}
    expected = extraction_codes(archive, tmp_path / "into")
    codes.discard("formats-none")  # which extraction does not report
    assert codes - {"archive-overlap"} == expected - ONLY_INSIDE - {"archive-overlap"}
    assert codes <= expected | {"archive-overlap"}


def test_overlapping_entries_are_seen_in_the_directory(tmp_path: Path) -> None:
    write = next(write for name, write, _ in HOSTILE if name == "overlapping entries")
    write(tmp_path / "a.zip")
    assert preflighted((tmp_path / "a.zip").read_bytes())["counts"]["archive-overlap"] >= 1


def test_a_good_archive_is_counted_and_recognised_by_its_last_bytes(tmp_path: Path) -> None:
    content = voc_zip(tmp_path / "data.zip", images=12).read_bytes()
    found = preflighted(content, sent=22)  # the end record alone: then exactly the directory is requested
    assert found["accepted"] and found["findings"] == []
    assert (found["entries"], found["images"], found["data_files"]) == (24, 12, 24)
    assert found["format"] == {"name": "voc", "why": "12 XML files and 12 images"}
    assert found["bytes"] == len(content)


def test_what_lies_before_the_directory_is_never_requested(tmp_path: Path) -> None:
    archive = zip_files(
        tmp_path / "a.zip", {f"{number % 2}/{number}.jpg": bytes(20_000) for number in range(50)}, compression=0
    )
    content = archive.read_bytes()
    directory = content.index(b"PK\1\2")
    assert preflighted(bytes(directory) + content[directory:])["accepted"]


def test_an_archive_with_zip64_records_is_read_by_its_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as file:
        file.write(b"x" * 100)
    content = (tmp_path / "a.zip").read_bytes()
    end_at = content.index(b"PK\5\6")
    _, _, _, count, total, size, at, _ = struct.unpack("<4s4H2LH", content[end_at:])
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, total, size, at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end_at, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert preflighted(content[:end_at] + end64 + locator + end)["entries"] == 1

    lying = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**40, 2**40, 2**50, at)
    assert preflighted(content[:end_at] + lying + locator + end)["counts"] == {"archive-too-many-entries": 1}
    beyond = struct.pack("<4sLQL", b"PK\6\7", 0, 2**63, 1)
    assert preflighted(content[:end_at] + end64 + beyond + end)["counts"] == {"archive-inconsistent": 1}


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["a.jpg", "a.xml"], "voc"),
        (["images/a.jpg", "labels/a.txt", "data.yaml"], "yolo"),
        (["a.jpg", "b.png", "annotations.json"], "coco"),
        (["cat/a.jpg", "dog/b.jpg"], "folders"),
        (["a.jpg", "b.jpg", "readme.txt"], None),
        (["a.xml"], None),
        ([], None),
    ],
)
def test_a_format_is_guessed_by_names(names: list[str], name: str | None) -> None:
    guess = guess_format(names)
    assert guess["name"] == name and guess["why"]
    assert not re.search(r"\b1 \w* ?(files|images)", str(guess["why"]))


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        (["a.jpg", "b.jpg"], False),
        (["set/a.jpg", "set/b.jpg", "set/readme.pdf"], False),
        (["train/images/a.jpg", "valid/images/b.jpg"], False),
        (["cat/a.jpg", "b.pdf"], False),
        (["a.xml", "classes.txt"], False),
        ([], False),
        (["cat/a.jpg", "dog/b.jpg"], True),
        (["a.jpg", "b.jpg", "boxes.json"], True),
        (["a.jpg", "b.jpg", "boxes.txt"], True),
    ],
)
def test_what_no_format_can_fit_is_refused_ahead_and_really_refused(
    tmp_path: Path, names: list[str], accepted: bool
) -> None:
    archive = zip_files(tmp_path / "a.zip", {name: b"x" for name in names})
    found = preflighted(archive.read_bytes())
    assert (found["accepted"], found["counts"]) == (accepted, {} if accepted else {"formats-none": 1})
    if not accepted:
        assert found["format"]["name"] is None
        source, _ = extract(archive, tmp_path, threads=1, tick=lambda *_: None)
        with pytest.raises(Rejected) as rejected:
            read_dataset(source, [])
        assert rejected.value.problem.slug == "format-unknown"


BASE = {"set/a.xml": b"<annotation/>", "set/b.jpg": b"x" * 40, "set/é.xml": b"<b/>", "../c.xml": b""}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2**31), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    st.integers(-40, 40),
    st.integers(1, 2000),
)
@example([(0, b"\xff" * 8)], 0, 22)
def test_a_fuzzed_directory_never_crashes_the_preflight_which_agrees_with_extraction(
    tmp_path: Path, changes: list[tuple[int, bytes]], shift: int, sent: int
) -> None:
    """Only the central directory and the end record are changed; `shift` cuts or adds bytes before them."""
    content = bytearray(zip_files(tmp_path / "base.zip", BASE).read_bytes())
    directory = content.index(b"PK\1\2")
    for at, noise in changes:
        at = directory + at % (len(content) - directory)
        content[at : at + len(noise)] = noise[: len(content) - at]
    content[directory:directory] = bytes(max(0, shift))
    del content[directory : directory + max(0, -shift)]

    found = preflighted(bytes(content), sent=min(sent, len(content)))

    (tmp_path / "fuzzed.zip").write_bytes(content)
    expected = extraction_codes(tmp_path / "fuzzed.zip", tmp_path / "into")
    assert found["accepted"] == (not found["findings"])
    codes = {finding["code"] for finding in found["findings"]} - {"formats-none"}  # which extraction does not report
    assert not codes or expected, "extraction refuses all that the preflight refuses"
    assert codes - {"archive-overlap"} <= expected
