"""Text and numbers that a layer below cannot take are findings with their file and line, in every format."""

import json
import re
from pathlib import Path

import pytest

from pipeline.__main__ import run
from tests.builders.bad_text import BadText, cases, write

_NO_TEXT = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # a progress line ends with \r


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name.encode("unicode_escape").decode())
def test_it_is_a_finding_with_its_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: BadText
) -> None:
    status = run(["prepare", str(write(case, tmp_path)), str(tmp_path / "out"), "--processes", "1"])
    findings = [json.loads(line) for line in (tmp_path / "out/findings.jsonl").read_text().split("\n") if line]
    found = [finding for finding in findings if finding["code"] == case.code]
    assert found, [(finding["code"], finding["detail"][:300]) for finding in findings]
    assert found[0]["path"].startswith(case.path) and status == (case.outcome == "rejected")
    if case.line is not None:
        content = case.files[case.path]
        assert found[0]["line"] == content[: content.rindex(case.line.encode())].count(b"\n") + 1
    assert not any(_NO_TEXT.search(finding["detail"] + finding["remedy"]) for finding in findings)
    assert not _NO_TEXT.search("".join(capsys.readouterr()))


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.code in ("class-name-invalid", "box-not-a-number")][::5]
)
def test_with_on_error_skip_no_image_of_a_refused_name_or_number_is_used(tmp_path: Path, case: BadText) -> None:
    run(["prepare", str(write(case, tmp_path)), str(tmp_path / "out"), "--processes", "1", "--on-error", "skip"])
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert not any(_NO_TEXT.search(name) for name in result.get("classes") or ())
    assert result["outcome"] == "rejected" or result["images"] == 11
