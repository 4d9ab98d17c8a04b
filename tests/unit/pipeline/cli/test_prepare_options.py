"""Options of a preparation by argument and by config."""

import json
from pathlib import Path

import pytest

from pipeline.__main__ import run
from tests.builders.one_camera import one_camera
from tests.builders.voc import zip_files


def test_the_order_of_names_splits_what_is_refused_without_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = zip_files(tmp_path / "belt.zip", one_camera(10))
    assert run(["prepare", str(archive), str(tmp_path / "refused"), "--processes", "1"]) == 1
    assert "split=sequence" in capsys.readouterr().out
    assert run(["prepare", str(archive), str(tmp_path / "out"), "--processes", "1", "--split", "sequence"]) == 0
    images = json.loads((tmp_path / "out" / "tree" / "manifest.json").read_text())["images"]
    assert [(image["path"], image["split"]) for image in images] == [
        *((f"{at}.jpg", "train") for at in range(7)),
        *((f"{at}.jpg", "val") for at in (7, 8)),
        ("9.jpg", "test"),
    ]
    config = tmp_path / "prepare.yaml"
    config.write_text(f"archive: {archive}\nout: {tmp_path / 'again'}\noptions: {{split: sequence}}\nprocesses: 1\n")
    assert run(["prepare", "--config", str(config)]) == 0
    first, again = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("out", "again"))
    assert again["fingerprint"] == first["fingerprint"] and "split-sequence-leak" in first["findings"]
