"""`make demo`, as a person runs it; `make demo` itself checks the successful end."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from PIL import Image

from deploy.local.poses import write_archive


@pytest.mark.slow
def test_a_rejected_set_ends_the_demo_with_its_findings_and_leaves_nothing_running(tmp_path: Path) -> None:
    archive, home = tmp_path / "broken.zip", tmp_path / "home"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("set/image.jpg", b"not an image")
        file.writestr("set/image.xml", b"<annotation><object><name>cat</name></object></annotation>")
    elsewhere = "http://127.0.0.1:9"  # neither MLflow nor serving is started, which a rejected set does not reach
    done = _demo("--zip", str(archive), home=home, MLFLOW_URL=elsewhere, SERVING_URL=elsewhere)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "image.jpg" in done.stdout
    assert "The demo failed." in done.stdout
    assert "rejected" in done.stdout
    assert _processes_of(home) == []


def test_a_missing_zip_is_reported_before_anything_starts(tmp_path: Path) -> None:
    done = _demo("--zip", str(tmp_path / "nowhere.zip"), home=tmp_path / "home")
    assert done.returncode == 2
    assert "nowhere.zip" in done.stderr
    assert not (tmp_path / "home").exists()


def test_an_unknown_kind_is_reported_before_anything_starts(tmp_path: Path) -> None:
    done = _demo("--kind", "poses", home=tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr == "Unknown kind 'poses'. Known kinds: detection, pose.\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.slow  # a whole line, 40 s and more
def test_the_users_folders_of_classes_are_trained_on_and_their_metrics_printed(tmp_path: Path) -> None:
    archive, home = tmp_path / "folders.zip", tmp_path / "home"
    write_archive(archive, figures=80, seed=0)
    done = _demo("--zip", str(archive), home=home, exports=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"onnx [\d.]+ MB, (\d+) of \1 predictions equal, [\d.]+x as fast", done.stdout)
    assert "Confusion matrix, test" in done.stdout
    assert "jumping" in done.stdout
    assert re.search(r"folders/v1 +folders/d1 +vit-mini-scratch .* @production", done.stdout)
    assert ElementTree.parse(home / "lineage.svg").find(".//{*}title") is not None
    assert re.search(r"folders/v1 answers: \d+ images, \d+ right; \d+ ms an image", done.stdout)
    for name in ("prediction.jpg", "test_confusion_matrix.png"):
        with Image.open(home / name) as image:
            image.load()
    assert _processes_of(home) == []


def _demo(*arguments: str, home: Path, exports: bool = False, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.demo", *arguments],
        env={
            **os.environ,
            "DARKROOM_HOME": str(home),
            "DARKROOM_EXPORT_ON_PUBLISH": str(exports),
            "DARKROOM_EVALUATE_ON_PUBLISH": str(exports),
            "COLUMNS": "200",
            **{f"DARKROOM_{name}": value for name, value in settings.items()},
        },
        capture_output=True,
        text=True,
        timeout=280,  # it takes 40 s on two idle cores
    )


def _processes_of(home: Path) -> list[str]:
    commands = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DARKROOM_HOME") == str(home):
                commands.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return commands
