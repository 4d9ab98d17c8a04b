"""The real sets and the hostile corpora, from end to end, where DARKROOM_TEST_DATA names their folder."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from tests.builders.voc import XML, voc_files, zip_files

DATA = Path(os.environ.get("DARKROOM_TEST_DATA") or "unset")

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="set DARKROOM_TEST_DATA to a folder with data/*-voc.zip and bad/ to run this"
)


def _prepare(archive: Path, out: Path) -> dict[str, Any]:
    status = run(["prepare", str(archive), str(out), "--processes", "2"])
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result


def test_raccoon_is_ready_with_every_image_and_box(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "raccoon-voc.zip", tmp_path / "out")
    assert (result["outcome"], result["images"], result["classes"]) == ("ready", 200, ["raccoon"])
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert metadata["boxes"]["total"] == 217
    assert metadata["images"]["distinct"] == 196
    assert metadata["resolution"]["distinct"] == 133
    assert result["findings"]["image-duplicate"]["count"] == 4


def test_nuts_keeps_its_test_split_and_gets_a_validation_part(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "nuts-voc.zip", tmp_path / "out")
    assert result["classes"] == ["date", "fig", "hazelnut"]
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert metadata["images"]["test"] == 2 and metadata["images"]["val"] >= 1 and metadata["images"]["total"] == 18
    assert metadata["boxes"]["total"] == 164


def test_signdigits_is_ready_with_every_class_in_every_part(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "signdigits-folders.zip", tmp_path / "out")
    assert (result["outcome"], result["kind"], result["images"]) == ("ready", "classification", 2062)
    assert result["classes"] == [str(digit) for digit in range(10)]
    assert result["findings"] == {"image-exif-rotated": {"severity": "note", "count": 3}}
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert all(min(entry["images"].values()) >= 20 for entry in metadata["per_class"].values())


def test_every_hostile_zip_ends_in_a_rejection_inside_its_folder(tmp_path: Path) -> None:
    slugs: Counter[str] = Counter()
    for number, archive in enumerate(sorted((DATA / "bad" / "zips").rglob("*.zip"))):
        result = _prepare(archive, tmp_path / f"{number}")
        assert result["outcome"] == "rejected", archive.name
        slugs[result["problem"]["slug"]] += 1
    assert set(slugs) == {"archive-refused", "format-unknown"}
    assert {path.name for path in tmp_path.iterdir()} <= {str(number) for number in range(1000)} | {"home"}


def test_every_hostile_xml_is_an_error_on_its_own_file(tmp_path: Path) -> None:
    """As it is, and with its DOCTYPE wrapped round a real annotation."""
    for number, path in enumerate(sorted((DATA / "bad" / "xml").rglob("*.xml"))):
        hostile = path.read_bytes()
        doctype = hostile[hostile.find(b"<!DOCTYPE") : hostile.rfind(b"]>") + 2] if b"]>" in hostile else b""
        for wrapped in {bool(doctype), False}:
            files = voc_files(images=3)
            files[XML] = doctype + b"\n" + files[XML] if wrapped else hostile
            archive = zip_files(tmp_path / f"{number}-{wrapped}.zip", files)
            result = _prepare(archive, tmp_path / f"{number}-{wrapped}")
            if wrapped:
                assert result["outcome"] == "rejected", path.name
                assert result["findings"]["xml-dtd"]["count"] == 1, path.name
            else:
                assert {"xml-dtd", "xml-not-voc", "xml-invalid"} & set(result["findings"]), path.name
