"""The real datasets, where DARKROOM_TEST_DATA names their folder, and hostile files, all through `prepare`."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import run
from tests.builders import hostile
from tests.builders.voc import XML, voc_files, zip_files

DATA = Path(os.environ.get("DARKROOM_TEST_DATA") or "unset")

NEEDS_DATA = pytest.mark.skipif(
    not DATA.is_dir(), reason="set DARKROOM_TEST_DATA to a folder with data/*.zip to prepare the real datasets"
)


def _prepare(archive: Path, out: Path) -> dict[str, Any]:
    status = run(["prepare", str(archive), str(out), "--processes", "2"])
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result


@NEEDS_DATA
@pytest.mark.slow
def test_raccoon_is_ready_with_every_image_and_box(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "raccoon-voc.zip", tmp_path / "out")
    assert (result["outcome"], result["images"], result["classes"]) == ("ready", 200, ["raccoon"])
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert metadata["boxes"]["total"] == 217
    assert metadata["images"]["distinct"] == 196
    assert metadata["resolution"]["distinct"] == 133
    assert result["findings"]["image-duplicate"]["count"] == 4


@NEEDS_DATA
@pytest.mark.slow
def test_nuts_keeps_its_test_split_and_gets_a_validation_part(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "nuts-voc.zip", tmp_path / "out")
    assert result["classes"] == ["date", "fig", "hazelnut"]
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert metadata["images"]["test"] == 2 and metadata["images"]["val"] >= 1 and metadata["images"]["total"] == 18
    assert metadata["boxes"]["total"] == 164


@NEEDS_DATA
@pytest.mark.slow
def test_signdigits_is_ready_with_every_class_in_every_part(tmp_path: Path) -> None:
    result = _prepare(DATA / "data" / "signdigits-folders.zip", tmp_path / "out")
    assert (result["outcome"], result["kind"], result["images"]) == ("ready", "classification", 2062)
    assert result["classes"] == [str(digit) for digit in range(10)]
    notes = {code: (entry["severity"], entry["count"]) for code, entry in result["findings"].items()}
    # three photographs of a phone have a second image of 200 KB behind the first one's end marker
    assert notes == {"image-exif-rotated": ("note", 3), "image-odd-bytes": ("note", 3)}
    metadata = json.loads((tmp_path / "out" / "dataset_metadata.json").read_text())
    assert all(min(entry["images"].values()) >= 20 for entry in metadata["per_class"].values())


@hostile.ALL_ZIPS
def test_every_hostile_zip_ends_in_a_rejection_inside_its_folder(
    tmp_path: Path, make_zips: Callable[[], dict[str, bytes]]
) -> None:
    slugs: Counter[str] = Counter()
    folder = tmp_path / "zips"
    folder.mkdir()
    for number, (name, content) in enumerate(make_zips().items()):
        (folder / f"{number}.zip").write_bytes(content)
        result = _prepare(folder / f"{number}.zip", folder / f"{number}")
        assert result["outcome"] == "rejected", name
        slugs[result["problem"]["slug"]] += 1
    assert set(slugs) == {"archive-refused", "format-unknown"} and slugs["archive-refused"] > 50
    assert all(path.stem.isdigit() for path in folder.iterdir())
    assert {path.name for path in tmp_path.iterdir()} <= {"zips", "home"}


@hostile.ALL_DOCUMENTS
def test_an_annotation_with_a_hostile_document_type_is_rejected(
    tmp_path: Path, make_documents: Callable[[], dict[str, bytes]]
) -> None:
    doctypes = hostile.doctypes(make_documents())
    assert len(doctypes) >= 5
    for name, doctype in doctypes.items():
        files = voc_files(images=3)
        files[XML] = doctype + files[XML]
        result = _prepare(zip_files(tmp_path / f"{name}.zip", files), tmp_path / name)
        assert result["outcome"] == "rejected", name
        assert result["findings"]["xml-dtd"]["count"] == 1, name
