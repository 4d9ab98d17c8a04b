"""Faults of YOLO datasets and COCO files: all found in one pass, each with code, file and line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.domain.finding_codes import FINDING_CODES
from pipeline.__main__ import run
from tests.builders.voc import Files, zip_files
from tests.builders.yolo_coco import (
    COCO_FAULTS,
    JSON,
    LABEL,
    YAML,
    YOLO_FAULTS,
    coco_files,
    coco_zip,
    yolo_files,
    yolo_zip,
)

P00 = "images/train/p00.jpg"

# fault, code, severity, file, line (a number, a text on it, or None), outcome
YOLO_ROWS = [
    ("not_a_number", "box-not-a-number", "error", LABEL, 3, "rejected"),
    ("nan", "box-not-a-number", "error", LABEL, 3, "rejected"),
    ("four_columns", "label-line-invalid", "error", LABEL, 3, "rejected"),
    ("eight_columns", "label-line-invalid", "error", LABEL, 3, "rejected"),
    ("commas", "label-line-invalid", "error", LABEL, 3, "rejected"),
    ("commas_and_blanks", "label-line-invalid", "error", LABEL, 3, "rejected"),
    ("class_unknown", "class-id-unknown", "error", LABEL, 3, "rejected"),
    ("class_negative", "class-id-unknown", "error", LABEL, 3, "rejected"),
    ("class_name", "class-id-unknown", "error", LABEL, 3, "rejected"),
    ("pixels", "box-not-normalised", "error", LABEL, 3, "rejected"),
    ("outside", "box-outside", "error", LABEL, 3, "rejected"),
    ("mostly_outside", "box-outside", "error", LABEL, 3, "rejected"),
    ("over_the_edge", "box-clipped", "warning", LABEL, 3, "ready"),
    ("negative_side", "box-inverted", "error", LABEL, 3, "rejected"),
    ("no_area", "box-zero-area", "error", LABEL, 3, "rejected"),
    ("twice", "box-duplicate", "warning", LABEL, 3, "ready"),
    ("elongated", "box-tiny", "warning", LABEL, 3, "ready"),
    ("whole_image", "box-whole-image", "note", LABEL, 3, "ready"),
    ("polygon", "polygons-as-boxes", "note", LABEL, 3, "ready"),
    ("confidence", "confidence-left-out", "warning", LABEL, 3, "ready"),
    ("label_missing", "image-without-annotation", "note", P00, None, "ready"),
    ("label_empty", None, "", "", None, "ready"),
    ("image_missing", "image-missing", "error", LABEL, None, "rejected"),
    ("label_lost", "image-missing", "error", "labels/train/lost.txt", None, "rejected"),
    ("image_text", "image-unreadable", "error", P00, None, "rejected"),
    ("download", "yaml-download", "warning", YAML, "download", "ready"),
    ("count_differs", "yaml-count-differs", "warning", YAML, "nc:", "ready"),
    ("path_missing", "yaml-path-missing", "warning", YAML, "val:", "ready"),
    ("same_folder", "split-same-folder", "warning", YAML, "val:", "ready"),
    ("key_twice", "yaml-key-twice", "warning", YAML, "nc:", "ready"),
    ("names_twice", "class-name-twice", "warning", YAML, None, "ready"),
    ("name_empty", "class-name-empty", "error", YAML, "1:", "rejected"),
    ("names_nested", "yaml-names-invalid", "error", YAML, "1:", "rejected"),
    ("names_missing", "class-names-missing", "warning", YAML, None, "ready"),
    ("name_unused", "class-unused", "note", "", None, "ready"),
    ("yaml_broken", "yaml-invalid", "error", YAML, "names:", "rejected"),
    ("yaml_alias", "yaml-invalid", "error", YAML, "b:", "rejected"),
    ("yaml_tag", "yaml-invalid", "error", YAML, "1:", "rejected"),
    ("yaml_list", "yaml-invalid", "error", YAML, None, "rejected"),
    ("second_yaml", "yaml-several", "warning", "other/data.yaml", None, "ready"),
]

COCO_ROWS = [
    ("cut", "json-invalid", "error", JSON, "{", "rejected"),
    ("latin", "json-invalid", "error", JSON, 1, "rejected"),
    ("category_unknown", "class-id-unknown", "error", JSON, '"id": 777', "rejected"),
    ("image_unknown", "json-image-unknown", "error", JSON, '"id": 777', "rejected"),
    ("image_id_missing", "json-entry-invalid", "error", JSON, '"id": 777', "rejected"),
    ("box_missing", "box-missing", "error", JSON, '"id": 777', "rejected"),
    ("box_three", "box-not-a-number", "error", JSON, '"id": 777', "rejected"),
    ("box_text", "box-not-a-number", "error", JSON, '"id": 777', "rejected"),
    ("box_nan", "box-not-a-number", "error", JSON, '"id": 777', "rejected"),
    ("box_negative", "box-inverted", "error", JSON, '"id": 777', "rejected"),
    ("box_zero", "box-zero-area", "error", JSON, '"id": 777', "rejected"),
    ("box_outside", "box-outside", "error", JSON, '"id": 777', "rejected"),
    ("box_clipped", "box-clipped", "warning", JSON, '"id": 777', "ready"),
    ("crowd", "crowds-left-out", "note", JSON, '"id": 777', "ready"),
    ("polygon", "polygons-as-boxes", "note", JSON, '"id": 777', "ready"),
    ("annotation_id_twice", "json-annotation-twice", "warning", JSON, "[5, 5, 30, 30]", "ready"),
    ("image_id_twice", "json-id-twice", "error", JSON, '{"id": 0, "file_name": "p01.jpg"', "rejected"),
    ("image_missing", "image-missing", "error", JSON, "none.jpg", "rejected"),
    ("image_listed_twice", "image-annotated-twice", "error", JSON, '"id": 998', "rejected"),
    ("image_unlisted", "image-without-annotation", "note", "train/more.jpg", None, "ready"),
    ("size_wrong", "size-wrong", "warning", JSON, '"width": 960', "ready"),
    ("size_missing", "size-missing", "note", JSON, '"p00.jpg"', "ready"),
    ("size_negative", "size-wrong", "warning", JSON, '"width": -96', "ready"),
    ("category_id_twice", "json-id-twice", "error", JSON, '"cone"', "rejected"),
    ("category_nameless", "class-name-empty", "error", JSON, '{"id": 4', "rejected"),
    ("category_name_twice", "class-name-twice", "warning", JSON, '{"id": 4', "ready"),
    ("category_spaces", "class-name-spaces", "note", JSON, r'"ball\t"', "ready"),
    ("category_unused", "class-unused", "note", JSON, None, "ready"),
]


def test_every_fault_of_the_builders_is_in_a_table() -> None:
    assert {row[0] for row in YOLO_ROWS} == set(YOLO_FAULTS)
    assert {row[0] for row in COCO_ROWS} == set(COCO_FAULTS)


@pytest.mark.parametrize(("fault", "code", "severity", "file", "line", "outcome"), YOLO_ROWS, ids=repr)
def test_a_fault_of_a_yolo_dataset_is_found(
    tmp_path: Path, fault: str, code: str | None, severity: str, file: str, line: str | int | None, outcome: str
) -> None:
    files = yolo_files()
    YOLO_FAULTS[fault](files)
    found = _found(yolo_zip(tmp_path / "data.zip", broken=fault), tmp_path / "out", code, outcome)
    _assert_place(found, files, severity, file, line)


@pytest.mark.parametrize(("fault", "code", "severity", "file", "line", "outcome"), COCO_ROWS, ids=repr)
def test_a_fault_of_a_coco_file_is_found(
    tmp_path: Path, fault: str, code: str | None, severity: str, file: str, line: str | int | None, outcome: str
) -> None:
    files = coco_files()
    COCO_FAULTS[fault](files)
    found = _found(coco_zip(tmp_path / "data.zip", broken=fault), tmp_path / "out", code, outcome)
    _assert_place(found, files, severity, file, line)


def test_odd_lines_of_many_label_files_are_one_finding(tmp_path: Path) -> None:
    files = yolo_files()
    files["data.yaml"] += b"kpt_shape: [1, 3]\n"
    for number in (1, 2, 5):
        files[f"labels/train/p{number:02d}.txt"] += b"0 0.2 0.2 0.4 0.2 0.4 0.5\n0 0.5 0.5 0.1 0.1 5 5 2\n" * 2
    _, findings = _prepare(zip_files(tmp_path / "data.zip", files), tmp_path / "out")
    odd = {each["code"]: each for each in findings if each["code"] in ("polygons-as-boxes", "keypoints-left-out")}
    assert len([each for each in findings if each["code"] in odd]) == len(odd) == 2
    assert {(each["path"], each["detail"][:24]) for each in odd.values()} == {
        ("labels/train/p01.txt", "6 lines in 3 label files")
    }
    assert [odd[code]["line"] for code in ("polygons-as-boxes", "keypoints-left-out")] == [3, 4]


@pytest.mark.parametrize("make", [yolo_zip, coco_zip])
def test_a_valid_dataset_of_each_format_has_no_findings_and_keeps_its_split(tmp_path: Path, make: Any) -> None:
    result, findings = _prepare(make(tmp_path / "data.zip"), tmp_path / "out")
    assert (result["outcome"], result["classes"], result["images"]) == ("ready", ["ball", "cube"], 12)
    assert [finding["code"] for finding in findings if finding["code"] != "split-without-test"] == []


def _found(archive: Path, out: Path, code: str | None, outcome: str) -> list[dict[str, Any]]:
    result, findings = _prepare(archive, out)
    listed = [(finding["code"], finding["detail"]) for finding in findings]
    assert result["outcome"] == outcome, listed
    if code is None:
        assert {name for name, _ in listed} <= {"split-without-test"}
        return []
    found = [finding for finding in findings if finding["code"] == code]
    assert len(found) == 1, listed
    return found


def _assert_place(found: list[dict[str, Any]], files: Files, severity: str, file: str, line: str | int | None) -> None:
    for finding in found:
        assert (finding["severity"], finding["path"]) == (severity, file)
        assert finding["detail"] and finding["remedy"]
        assert not re.search(r"\b1 ((JSON|label) )?(files|lines|columns|polygons|annotations) ", finding["detail"])
        if isinstance(line, str):
            text = files[file]
            line = text[: text.rindex(line.encode())].count(b"\n") + 1
        assert finding["line"] == line or line is None


def _prepare(archive: Path, out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    status = run(["prepare", str(archive), str(out), "--processes", "1"])
    findings = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert all(FINDING_CODES[finding["code"]].severity == finding["severity"] for finding in findings)
    result = json.loads((out / "result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result, findings
