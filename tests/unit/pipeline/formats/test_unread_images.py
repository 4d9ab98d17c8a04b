"""An annotation of a raw file, a drawing or a video is an error that says what the file is and what to do."""

from pathlib import Path

import pytest

from pipeline.archive.extract import extract
from pipeline.archive.source import Rejected
from pipeline.dataset.model import Dataset
from pipeline.formats import read_dataset
from tests.builders.listed import (
    class_table_files,
    csv_files,
    cvat_files,
    jsonl_files,
    label_studio_files,
    labelme_files,
)
from tests.builders.voc import Files, voc_files, zip_files
from tests.builders.yolo_coco import coco_files, yolo_files

KINDS = {
    "cr2": "raw file of a camera",
    "NEF": "raw file of a camera",
    "dng": "raw file of a camera",
    "arw": "raw file of a camera",
    "psd": "layers",
    "svg": "vectors",
    "mp4": "video",
    "MOV": "video",
    "dcm": "DICOM",
    "jxl": "not read",
}
FORMATS: dict[str, Files] = {
    "voc": voc_files(images=6),
    "yolo": yolo_files(images=6),
    "coco": coco_files(images=6),
    "cvat": cvat_files(),
    "labelme": labelme_files(),
    "label-studio": label_studio_files(path="images/{base}"),
    "csv": csv_files(),
    "jsonl": jsonl_files(),
    "table": class_table_files({f"p{number:02d}.jpg": ("ball", "cube")[number % 2] for number in range(4)}),
}


def _read(tmp_path: Path, files: Files) -> Dataset:
    (tmp_path / "into").mkdir()
    archive = zip_files(tmp_path / "data.zip", files)
    return read_dataset(extract(archive, tmp_path / "into", threads=1, tick=lambda *_: None)[0], [])


def _with_one_of_kind(files: Files, suffix: str, *, present: bool) -> Files:
    """The image p02 is one of this kind, in the archive and in the annotations."""
    changed: Files = {}
    for name, content in files.items():
        if name.endswith("p02.jpg"):
            changed |= {f"{name[:-3]}{suffix}": b"II*\0"} if present else {}
        else:
            is_image = name.endswith(".jpg")
            changed[name] = content if is_image else content.replace(b"p02.jpg", f"p02.{suffix}".encode())
    return changed


@pytest.mark.parametrize(
    ("name", "suffix"),
    [*(("coco", suffix) for suffix in KINDS), *((name, "mp4") for name in FORMATS if name != "coco")],
)
def test_it_is_named_in_every_format(tmp_path: Path, name: str, suffix: str) -> None:
    dataset = _read(tmp_path, _with_one_of_kind(FORMATS[name], suffix, present=True))
    (error,) = [each for each in dataset.findings if each.code in ("image-kind-unread", "image-missing")]
    assert dataset.format == name and error.code == "image-kind-unread" and dataset.lost == 1
    assert KINDS[suffix] in error.detail and f"p02.{suffix}" in error.detail


@pytest.mark.parametrize("name", ["coco", "csv", "voc"])
def test_a_stated_name_shows_it_without_the_file(tmp_path: Path, name: str) -> None:
    dataset = _read(tmp_path, _with_one_of_kind(FORMATS[name], "nef", present=False))
    assert "image-kind-unread" in [each.code for each in dataset.findings]


def test_a_raw_file_beside_its_jpeg_changes_nothing(tmp_path: Path) -> None:
    files = FORMATS["coco"]
    raws: Files = {f"{name[:-3]}cr2": b"II*\0" for name in files if name.endswith(".jpg")}
    renamed = {
        name: content.replace(b".jpg", b".cr2") if name.endswith(".json") else content
        for name, content in files.items()
    }
    dataset = _read(tmp_path, renamed | raws)
    assert not dataset.broken and not dataset.lost and all(item.annotation for item in dataset.items)


def test_an_archive_of_raw_files_alone_is_refused_with_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"1.cr2 is a raw file of a camera: develop it"):
        _read(tmp_path, {"a/1.cr2": b"II*\0", "b/2.cr2": b"II*\0"})
