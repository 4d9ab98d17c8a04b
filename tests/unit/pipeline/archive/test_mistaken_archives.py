"""What an archive is refused for is named by what it is: its first bytes, and the files that it holds."""

import io
import struct
from pathlib import Path

import pytest

from core.domain import limits
from core.domain.findings import Finding
from pipeline.archive.contents import describe_contents
from pipeline.archive.extract import extract
from pipeline.archive.source import ExtractedArchive, Rejected
from pipeline.formats import read_dataset
from pipeline.prepare.preflight import ArchiveEnd, inspect_archive_end
from tests.builders.archives import finder_zip, mistaken_uploads
from tests.builders.voc import image_bytes, zip_files

IMAGE = image_bytes()


def _extract(archive: Path, into: Path) -> tuple[ExtractedArchive, list[Finding]]:
    into.mkdir(exist_ok=True)
    return extract(archive, into, threads=2, tick=lambda *_: None)


def _refusal(archive: Path, into: Path) -> Finding:
    with pytest.raises(Rejected) as refused:
        _extract(archive, into)
    return refused.value.findings[0]


def _mistakes() -> dict[str, bytes]:
    out = io.BytesIO()
    zip_files(out, {"set/a.jpg": IMAGE, "set/b.jpg": IMAGE})  # type: ignore[arg-type] # zipfile writes to streams
    return mistaken_uploads(out.getvalue())


@pytest.mark.parametrize("word", list(mistaken_uploads(b"")))
def test_what_is_uploaded_instead_of_a_zip_is_named_with_the_remedy(tmp_path: Path, word: str) -> None:
    content = _mistakes()[word]
    archive = tmp_path / "data.zip"
    archive.write_bytes(content)
    refusal = _refusal(archive, tmp_path / "into")
    assert word in refusal.detail and ":" in refusal.detail
    with archive.open("rb") as file:
        found = inspect_archive_end(file, len(content))["findings"]
    assert [(each["code"], each["detail"]) for each in found] == [(refusal.code, refusal.detail)]


def test_the_end_of_a_large_file_alone_names_no_content(tmp_path: Path) -> None:
    end = ArchiveEnd(io.BytesIO(bytes(70_000)), 10**9)
    [finding] = inspect_archive_end(end, 10**9)["findings"]  # type: ignore[arg-type] # it reads and seeks
    assert finding["code"] == "archive-not-a-zip" and "no ZIP directory" in finding["detail"]


@pytest.mark.parametrize(
    "count", [65_536, *(pytest.param(count, marks=pytest.mark.slow) for count in (65_535, 65_572, 131_071, 131_080))]
)
def test_a_directory_that_finder_counts_modulo_65536_is_read_to_its_end(tmp_path: Path, count: int) -> None:
    archive = finder_zip(tmp_path / "finder.zip", {"v/a/1.jpg": IMAGE}, empty=count - 1)
    source, _ = _extract(archive, tmp_path / "into")
    assert (len(source.files), len(source.left_out)) == (1, count - 1)
    with archive.open("rb") as file:
        found = inspect_archive_end(file, archive.stat().st_size)
    assert (found["entries"], found["counts"]) == (count, {"formats-none": 1})


@pytest.mark.slow
def test_more_entries_than_are_accepted_are_not_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ENTRIES", 65_540)
    archive = finder_zip(tmp_path / "finder.zip", {}, empty=65_540)
    _extract(archive, tmp_path / "into")
    archive = finder_zip(tmp_path / "finder.zip", {}, empty=65_541)
    assert _refusal(archive, tmp_path / "into").code == "archive-too-many-entries"


@pytest.mark.parametrize("count", [0, 1, 3, 65_535])
def test_any_other_count_than_that_of_the_entries_is_refused(tmp_path: Path, count: int) -> None:
    archive = zip_files(tmp_path / "a.zip", {"a.jpg": IMAGE, "b.jpg": IMAGE})
    content = bytearray(archive.read_bytes())
    struct.pack_into("<2H", content, content.rindex(b"PK\5\6") + 8, count, count)
    archive.write_bytes(content)
    assert _refusal(archive, tmp_path / "into").code == "archive-inconsistent"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["dataset.zip"], "one file, dataset.zip, which is an archive itself: upload that one"),
        (["backup/data.tar.gz", "__MACOSX/backup/._data.tar.gz"], "one file, backup/data.tar.gz"),
        (["train.zip", "val.zip", "readme.md"], "2 inner archives: train.zip, val.zip"),
        (["images.zip", "data.yaml"], "1 inner archive: images.zip; unpack it"),
        ([], "holds no files"),
        (["__MACOSX/._a.jpg", ".DS_Store"], "holds no files"),
        (["a.tfrecord", "b.npy"], "TFRecord files, NumPy arrays"),
        (["labels/a.txt", "labels/b.txt", "data.yaml"], "3 files: 2 .txt, 1 .yaml"),
    ],
)
def test_an_archive_without_images_is_described_by_what_it_holds(tmp_path: Path, names: list[str], words: str) -> None:
    assert words in describe_contents(names)
    archive = zip_files(tmp_path / "data.zip", dict.fromkeys(names, b"x"))
    source, findings = _extract(archive, tmp_path / "into")
    with pytest.raises(Rejected) as rejected:
        read_dataset(source, findings)
    assert words in rejected.value.problem.detail
    with archive.open("rb") as file:
        [finding] = inspect_archive_end(file, archive.stat().st_size)["findings"]
    assert (finding["code"], words in finding["detail"]) == ("formats-none", True)


def test_a_set_that_no_format_fits_is_described_with_the_remedy(tmp_path: Path) -> None:
    files = {"set/a.jpg": IMAGE, "set/b.jpg": IMAGE, "set/readme.md": b"", "set/notes.xml": b"<notes/>"}
    source, findings = _extract(zip_files(tmp_path / "data.zip", files), tmp_path / "into")
    with pytest.raises(Rejected) as rejected:
        read_dataset(source, findings)
    detail = rejected.value.problem.detail
    assert detail.startswith("The archive holds 2 images in 1 folder, and 1 .xml, 1 .md.")
    assert "voc: 1 XML file, none with <annotation> as its root." in detail and "yolo:" not in detail


def test_an_archive_beside_images_is_a_warning(tmp_path: Path) -> None:
    files = {"cat/a.jpg": IMAGE, "dog/b.jpg": IMAGE, "labels.zip": b"PK"}
    _, findings = _extract(zip_files(tmp_path / "data.zip", files), tmp_path / "into")
    assert [(each.code, each.path) for each in findings] == [
        ("archive-nested", "labels.zip"),
        ("files-left-out", "labels.zip"),
    ]
