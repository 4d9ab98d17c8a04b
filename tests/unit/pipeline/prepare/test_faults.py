"""Every fault that a dataset may have is found in one pass, with its code, its file and its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.domain.finding_codes import FINDING_CODES
from pipeline.__main__ import run
from tests.builders.voc import (
    FAULTS,
    IMAGE,
    XML,
    annotation,
    image_bytes,
    line_of,
    turned,
    voc_files,
    voc_zip,
    zip_files,
)

# fault, code, severity, file, text on the line of the finding (None: no line), outcome
ROWS = [
    ("box_outside", "box-outside", "error", XML, "<bndbox>", "rejected"),
    ("box_mostly_outside", "box-outside", "error", XML, "<bndbox>", "rejected"),
    ("box_clipped", "box-clipped", "warning", XML, "<bndbox>", "ready"),
    ("box_from_zero", "box-at-edge", "note", XML, "<bndbox>", "ready"),
    ("box_inverted", "box-inverted", "error", XML, "<bndbox>", "rejected"),
    ("box_zero_area", "box-zero-area", "error", XML, "<bndbox>", "rejected"),
    ("box_duplicate", "box-duplicate", "warning", XML, "<bndbox>", "ready"),
    ("box_tiny", "box-tiny", "warning", XML, "<bndbox>", "ready"),
    ("box_not_a_number", "box-not-a-number", "error", XML, "<bndbox>", "rejected"),
    ("box_corner_twice", "box-corner-twice", "error", XML, "<xmin>7", "rejected"),
    ("box_missing", "box-missing", "error", XML, "<object>", "rejected"),
    ("name_empty", "class-name-empty", "error", XML, "<object>", "rejected"),
    ("name_long", "class-name-too-long", "error", XML, "<object>", "rejected"),
    ("box_several", "box-several", "error", XML, "<bndbox/>", "rejected"),
    ("box_elongated", "box-elongated", "note", XML, "<bndbox>", "ready"),
    ("box_elongated_less", None, "", "", None, "ready"),
    ("box_whole", "box-whole-image", "note", XML, "<bndbox>", "ready"),
    ("flag_odd", "xml-structure", "warning", XML, "maybe", "ready"),
    ("text_astray", "xml-structure", "warning", XML, "<object>\nhello", "ready"),
    ("name_nested", "xml-structure", "warning", XML, "<b/>", "ready"),
    ("width_text", "xml-structure", "warning", XML, "wide", "ready"),
    ("xml_latin", "xml-invalid", "error", XML, "<filename>", "rejected"),
    ("xml_latin_declared", None, "", "", None, "ready"),
    ("xml_deep", "xml-too-deep", "error", XML, None, "rejected"),
    ("list_unknown", "split-list-unknown", "warning", "sets/train.txt", None, "ready"),
    ("mask", "masks-left-out", "note", "SegmentationClass/p00.png", None, "ready"),
    ("name_similar", "class-names-similar", "warning", "", None, "ready"),
    ("name_spaces", "class-name-spaces", "note", XML, "<name>ball <", "ready"),
    ("size_zero", "size-missing", "note", XML, "<size>", "ready"),
    ("size_wrong", "size-wrong", "warning", XML, "<size>", "ready"),
    ("size_negative", "size-wrong", "warning", XML, "<size>", "ready"),
    ("filename_differs", "filename-differs", "warning", XML, None, "ready"),
    ("filename_bare", None, "", "", None, "ready"),
    ("xml_cut", "xml-invalid", "error", XML, "<", "rejected"),
    ("xml_empty", "xml-empty", "error", XML, None, "rejected"),
    ("xml_dtd", "xml-dtd", "error", XML, "<!DOCTYPE", "rejected"),
    ("xml_utf16", None, "", "", None, "ready"),
    ("xml_bom", None, "", "", None, "ready"),
    ("xml_foreign", "xml-not-voc", "warning", "annotations/pom.xml", None, "ready"),
    ("image_missing", "image-missing", "error", XML, None, "rejected"),
    ("xml_missing", "image-without-annotation", "note", IMAGE, None, "ready"),
    ("image_truncated", "image-truncated", "error", IMAGE, None, "rejected"),
    ("image_empty", "image-empty", "error", IMAGE, None, "rejected"),
    ("image_text", "image-unreadable", "error", IMAGE, None, "rejected"),
    ("image_small", "image-too-small", "error", IMAGE, None, "rejected"),
    ("image_bomb", "image-too-large", "error", IMAGE, None, "rejected"),
    ("image_png_inside", "image-extension", "warning", IMAGE, None, "ready"),
    ("image_webp_inside", "image-extension", "warning", IMAGE, None, "ready"),
    ("image_cmyk", "image-cmyk", "warning", IMAGE, None, "ready"),
    ("image_rgba", "image-alpha", "note", IMAGE, None, "ready"),
    ("image_palette", "image-converted", "note", IMAGE, None, "ready"),
    ("image_deep", "image-high-bit-depth", "warning", IMAGE, None, "ready"),
    ("image_animated", "image-animated", "warning", IMAGE, None, "ready"),
    ("image_turned", "image-exif-rotated", "note", IMAGE, None, "ready"),
    ("image_turned_boxes_stored", "boxes-rotated", "warning", XML, "<size>", "ready"),
    ("image_orientation_nonsense", None, "", "", None, "ready"),
    ("image_copied", "image-duplicate", "note", IMAGE, None, "ready"),
    ("annotated_twice", "image-annotated-twice", "error", "labels/p00.xml", None, "rejected"),
    ("two_candidates", "image-unlabelled", "error", "images/p00.png", None, "rejected"),
    ("case_equal", "names-differ-in-case", "warning", IMAGE, None, "ready"),
]


def test_every_fault_of_the_builder_is_in_the_table() -> None:
    assert {row[0] for row in ROWS} == set(FAULTS)


@pytest.mark.parametrize(("fault", "code", "severity", "file", "text", "outcome"), ROWS, ids=[row[0] for row in ROWS])
def test_a_fault_is_found_with_its_code_file_and_line(
    tmp_path: Path, fault: str, code: str | None, severity: str, file: str, text: str | None, outcome: str
) -> None:
    archive = voc_zip(tmp_path / "data.zip", broken=fault)
    result, findings = _prepare(archive, tmp_path / "out")
    assert result["outcome"] == outcome
    if code is None:
        assert findings == []
        return
    found = [finding for finding in findings if finding["code"] == code]
    assert [(finding["severity"], finding["path"]) for finding in found] == [(severity, file)]
    assert found[0]["detail"] and found[0]["remedy"]
    if text is not None:
        files = voc_files()
        FAULTS[fault](files)
        assert found[0]["line"] == line_of(files[XML], text)


def test_all_faults_are_found_in_one_pass(tmp_path: Path) -> None:
    import zipfile

    faults = ["box_outside", "xml_cut", "image_truncated", "image_missing", "name_similar"]
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for number, fault in enumerate(faults):
            files = voc_files()
            FAULTS[fault](files)
            for name, content in files.items():
                archive.writestr(f"{number}/{name}", content)
    result, findings = _prepare(tmp_path / "data.zip", tmp_path / "out")
    assert result["outcome"] == "rejected"
    assert result["problem"]["slug"] == "dataset-rejected"
    assert {"box-outside", "xml-invalid", "image-truncated", "image-missing", "class-names-similar"} <= {
        finding["code"] for finding in findings
    }
    assert result["findings_total"] == len(findings) == sum(entry["count"] for entry in result["findings"].values())


@pytest.mark.parametrize(("images", "outcome"), [(10, "ready"), (9, "rejected")])
def test_skip_leaves_broken_images_out_while_nine_tenths_remain(tmp_path: Path, images: int, outcome: str) -> None:
    archive = voc_zip(tmp_path / "data.zip", broken="box_inverted", images=images)
    result, findings = _prepare(archive, tmp_path / "out", "--on-error", "skip")
    assert result["outcome"] == outcome
    assert "box-inverted" in {finding["code"] for finding in findings}
    if outcome == "ready":
        assert result["images"] == 9
        assert not list((tmp_path / "out" / "tree").rglob("p00.*"))


def test_an_annotation_without_a_image_is_no_image_that_cannot_be_used(tmp_path: Path) -> None:
    files = voc_files(images=6)
    files |= {f"annotations/lone{n}.xml": files[XML].replace(b"p00.jpg", b"lone.jpg") for n in range(2)}
    archive = zip_files(tmp_path / "data.zip", files)
    result, findings = _prepare(archive, tmp_path / "skipped", "--on-error", "skip")
    assert (result["outcome"], result["images"]) == ("ready", 6)
    assert [finding["code"] for finding in findings].count("image-missing") == 2
    archive = zip_files(tmp_path / "half.zip", files | {IMAGE: b"no image"})
    result, _ = _prepare(archive, tmp_path / "rejected", "--on-error", "skip")
    assert "1 of 6 images cannot be used" in result["problem"]["detail"]


@pytest.mark.parametrize(
    ("orientation", "size", "box", "guessed"),
    [
        (6, None, (10, 10, 40, 40), True),
        (6, (96, 64), (10, 10, 40, 40), False),
        (6, (64, 96), (10, 10, 40, 40), False),
        (6, (50, 50), (10, 10, 40, 40), True),
        (6, None, (10, 70, 40, 90), False),
        (3, (96, 64), (10, 10, 40, 40), True),
    ],
    ids=["no size", "stored", "upright", "wrong size", "fits one", "upside down"],
)
def test_a_turned_image_says_where_its_boxes_were_guessed(
    tmp_path: Path, orientation: int, size: tuple[int, int] | None, box: tuple[int, int, int, int], guessed: bool
) -> None:
    files = voc_files()
    files |= {IMAGE: turned(orientation), XML: annotation("p00.jpg", [("ball", *box)], size=size)}
    _, findings = _prepare(zip_files(tmp_path / "data.zip", files), tmp_path / "out")
    (detail,) = [finding["detail"] for finding in findings if finding["code"] == "image-exif-rotated"]
    assert ("assumed to be drawn on the upright one" in detail) is guessed


def test_images_with_a_palette_are_reported_once(tmp_path: Path) -> None:
    files = voc_files() | {f"images/p{n:02d}.jpg": image_bytes(mode="P", format="PNG", seed=n) for n in (7, 3)}
    _, findings = _prepare(zip_files(tmp_path / "data.zip", files), tmp_path / "out")
    (palette,) = [finding for finding in findings if finding["code"] == "image-palette"]
    assert palette["path"] == "images/p03.jpg" and palette["detail"].startswith("2 images have a palette")


@pytest.mark.parametrize(("fault", "code"), [("xml_cut", "xml-invalid"), ("xml_empty", "xml-empty")])
def test_nothing_is_said_of_the_size_in_an_xml_that_cannot_be_read(tmp_path: Path, fault: str, code: str) -> None:
    _, findings = _prepare(voc_zip(tmp_path / "data.zip", broken=fault), tmp_path / "out")
    assert {finding["code"] for finding in findings if finding["path"] == XML} == {code}


def test_a_rejected_dataset_leaves_no_tree_and_keeps_its_findings(tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "data.zip", broken="image_text")
    _prepare(archive, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"progress.jsonl", "findings.jsonl", "result.json"}


def test_a_person_gets_the_places_and_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = voc_zip(tmp_path / "data.zip", images=12, broken="image_text")
    _, findings = _prepare(archive, tmp_path / "out")
    printed = capsys.readouterr().out
    first = findings[0]
    assert f"{first['path']}  {first['code']}  {first['detail']}" in printed
    files = voc_files(images=12) | {f"lone{number}.xml": voc_files()[XML] for number in range(12)}
    _, findings = _prepare(zip_files(tmp_path / "many.zip", files), tmp_path / "many")
    printed = capsys.readouterr().out
    assert f"and {len(findings) - 10} more, see {tmp_path / 'many' / 'findings.jsonl'}" in printed
    assert findings[9]["detail"] in printed and findings[10]["path"] + "  " not in printed


def _prepare(archive: Path, out: Path, *options: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    status = run(["prepare", str(archive), str(out), "--processes", "1", *options])
    findings = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert all(FINDING_CODES[finding["code"]].severity == finding["severity"] for finding in findings)
    result = json.loads((out / "result.json").read_text())
    assert status == (result["outcome"] == "rejected")
    return result, findings
