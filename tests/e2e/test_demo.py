"""`make demo`, as a person runs it; the good end is what `make demo` itself is for."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil


def test_a_rejected_set_ends_the_demo_with_its_findings_and_leaves_nothing_running(tmp_path: Path) -> None:
    archive, home = tmp_path / "broken.zip", tmp_path / "home"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("set/picture.jpg", b"not a picture")
        file.writestr("set/picture.xml", b"<annotation><object><name>cat</name></object></annotation>")
    done = _demo("--zip", str(archive), home=home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "picture.jpg" in done.stdout
    assert "The demo failed." in done.stdout
    assert "rejected" in done.stdout
    assert _processes_of(home) == []


def test_a_zip_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    done = _demo("--zip", str(tmp_path / "nowhere.zip"), home=tmp_path / "home")
    assert done.returncode == 2
    assert "nowhere.zip" in done.stderr
    assert not (tmp_path / "home").exists()


def _demo(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.demo", *arguments],
        env={**os.environ, "DARKROOM_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=150,
    )


def _processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DARKROOM_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found
