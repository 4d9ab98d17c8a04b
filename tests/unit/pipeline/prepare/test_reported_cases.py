"""Inputs rebuilt from public bug reports, in the folder `cases` of DARKROOM_TEST_DATA: labels are right, or refused."""

import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from core.domain.finding_codes import FINDING_CODES
from pipeline.__main__ import run
from pipeline.repair.rewrite_zip import read_log
from tests.builders.reported_cases import EXPECTED, REPAIRED, Labels, Ready, Refused

CASES = Path(os.environ.get("DARKROOM_TEST_DATA") or "unset") / "cases"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.is_dir(), reason="set DARKROOM_TEST_DATA to a folder with cases/*/input.zip"),
]


def test_every_case_with_an_input_is_in_the_table() -> None:
    assert {path.parent.name.partition("-")[0] for path in CASES.glob("*/input.zip")} == EXPECTED.keys()


@pytest.mark.parametrize("case", EXPECTED)
def test_labels_and_splits_are_right_or_the_input_is_refused(tmp_path: Path, case: str) -> None:
    _check(_archive(case), tmp_path / "out", EXPECTED[case])


@pytest.mark.parametrize("case", EXPECTED)
def test_after_a_repair_labels_are_right_or_refused_too(tmp_path: Path, case: str) -> None:
    expected, repaired = REPAIRED.get(case) or EXPECTED[case], tmp_path / "repaired.zip"
    status = run(["repair", str(_archive(case)), str(repaired), "--processes", "1"])
    if isinstance(expected, Refused) and status:
        assert case in ("05", "33") and not repaired.exists()
        return
    log = {change.code for change in read_log(repaired)}
    if isinstance(expected, Ready):
        unchanged = tuple(code for code in expected.codes if not FINDING_CODES[code].repaired)
        expected = replace(expected, codes=unchanged)
    _check(repaired, tmp_path / "out", expected, log=log)


def test_images_of_one_fixed_camera_are_split_by_the_order_of_names(tmp_path: Path) -> None:
    archive = _archive("26")
    with zipfile.ZipFile(archive) as file:
        boxes = {name: _voc_box(file.read(name)) for name in file.namelist() if name.endswith(".xml")}
    images: dict[str, Labels] = {name.rpartition("/")[2].replace(".xml", ".jpg"): (box,) for name, box in boxes.items()}
    expected = Ready(images, codes=("split-sequence-leak",), options=("--split", "sequence"))
    manifest = _check(archive, tmp_path / "out", expected)
    splits = [image["split"] for image in sorted(manifest["images"], key=lambda image: image["path"])]
    assert len(splits) == 60 and splits == sorted(splits, key=["train", "val", "test"].index)


def test_twelve_bits_are_scaled_by_their_range(tmp_path: Path) -> None:
    _check(_archive("28"), tmp_path / "out", EXPECTED["28"])
    assert all(image.max() > 200 for image in _read_by_opencv(tmp_path / "out"))


def test_nuts_on_black_keep_their_split(tmp_path: Path) -> None:
    images = _check(_archive("48"), tmp_path / "out", EXPECTED["48"])["images"]
    assert Counter((image["split"], image["label"]) for image in images) == {
        ("train", 0): 28,
        ("train", 1): 28,
        ("val", 0): 8,
        ("val", 1): 8,
        ("test", 0): 4,
        ("test", 1): 4,
    }


def test_folders_are_no_classes_for_an_import_beside_a_table_of_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(_archive("46")) as file:
        file.extractall(tmp_path / "files")
    assert run(["import", str(tmp_path / "files"), str(tmp_path / "made.zip")]) == 1
    assert "train/metadata.csv" in capsys.readouterr().out and not (tmp_path / "made.zip").exists()


def _archive(case: str) -> Path:
    (archive,) = CASES.glob(f"{case}-*/input.zip")
    return archive


def _check(archive: Path, out: Path, expected: Ready | Refused, *, log: set[str] = frozenset()) -> dict[str, Any]:
    options = expected.options if isinstance(expected, Ready) else ()
    status = run(["prepare", str(archive), str(out), "--processes", "1", *options])
    result = json.loads((out / "result.json").read_text())
    if isinstance(expected, Refused):
        assert status == 1 and not (out / "tree").exists()
        _check_refusal(result, out, expected)
        return {}
    assert status == 0, result["problem"]
    assert set(expected.codes) <= result["findings"].keys() | log
    manifest: dict[str, Any] = json.loads((out / "tree" / "manifest.json").read_text())
    labels = {image["path"]: _labels(image, manifest["classes"]) for image in manifest["images"]}
    assert labels == {path: _approximately(each) for path, each in expected.images.items()}
    splits = {image["path"]: image["split"] for image in manifest["images"]}
    assert splits | expected.given == splits and {"train", "val"} <= set(splits.values())
    if manifest["kind"] == "detection":
        assert sum(1 for _ in _read_by_opencv(out)) == len(labels)
    return manifest


def _check_refusal(result: dict[str, Any], out: Path, expected: Refused) -> None:
    problem = result["problem"]
    found = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    named = [each for each in found if each["code"] == expected.code]
    assert named or problem["slug"] == expected.code
    assert {each["path"] for each in named} >= set(expected.paths)
    reported = " ".join([problem["detail"], *(f"{each['detail']} {each['remedy']}" for each in named)])
    assert all(word in reported for word in expected.words), reported


def _labels(image: dict[str, Any], classes: list[str]) -> Any:
    if "label" in image:
        return classes[image["label"]]
    return sorted((classes[number], *(edge / 1000 for edge in edges[:4])) for number, *edges in image["boxes"])


def _approximately(labels: Labels) -> Any:
    if isinstance(labels, str):
        return labels
    return [(name, *(pytest.approx(edge, abs=1) for edge in edges)) for name, *edges in sorted(labels)]


def _read_by_opencv(out: Path) -> Iterator[np.ndarray]:
    """Every image of the tree, as trainers decode it."""
    for path in sorted((out / "tree" / "images").rglob("*.*")):
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None, path
        yield image


def _voc_box(xml: bytes) -> tuple[str, float, float, float, float]:
    item = ElementTree.fromstring(xml).find("object")
    assert item is not None
    left, top, right, bottom = (
        float(item.findtext(f"bndbox/{edge}") or 0) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    return (str(item.findtext("name")), left - 1, top - 1, right, bottom)
