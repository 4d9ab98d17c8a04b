"""`POST /preflight`: validation before gigabytes are sent, in a separate process."""

import json
import zipfile
from pathlib import Path

import pytest
from httpx import Client, Response

import api.uploads.preflight
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from tests.builders.voc import voc_zip
from tests.servers.api import problem, serving


def preflight(client: Client, end: bytes, total: int) -> Response:
    return client.post("/preflight", params={"bytes": total}, content=end)


def evil_zip(path: Path, *, entries: int = 1, padding: int = 0) -> bytes:
    voc_zip(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.bin", bytes(padding))
        for number in range(entries):
            archive.writestr(f"../../{'long' * 30}/evil-{number}.jpg", b"x")
    return path.read_bytes()


def test_the_end_of_a_zip_is_enough_to_find_what_it_would_be_refused_for(
    client: Client, platform: Platform, tmp_path: Path
) -> None:
    content = evil_zip(tmp_path / "evil.zip", padding=1_000_000)
    answer = preflight(client, content[-65_557:], len(content))
    assert answer.status_code == 200 and not answer.json()["accepted"]
    finding = answer.json()["findings"][0]
    assert (finding["code"], finding["severity"]) == ("archive-parent-path", "error")
    assert "evil-0.jpg" in finding["path"] and finding["detail"] and finding["remedy"]
    assert answer.json()["counts"] == {"archive-parent-path": 1}
    assert answer.json()["format"]["name"] == "voc"
    assert not list_jobs(platform.db, cursor=None, limit=1).items and not list(platform.settings.temp.glob("upload-*"))


def test_a_longer_directory_needs_more_of_the_end(client: Client, tmp_path: Path) -> None:
    content = evil_zip(tmp_path / "evil.zip", entries=1000)
    needed = problem(preflight(client, content[-66_000:], len(content)), 400, "preflight-incomplete")["needed_bytes"]
    assert 66_000 < needed < len(content)
    assert preflight(client, content[-needed:], len(content)).json()["counts"] == {"archive-parent-path": 1000}


def test_a_file_that_is_not_a_zip_or_is_too_large_gets_a_finding(platform: Platform, tmp_path: Path) -> None:
    good = voc_zip(tmp_path / "good.zip").read_bytes()
    with serving(platform, upload_max_bytes=len(good) - 1) as client:
        assert preflight(client, bytes(70_000), 10**12).json()["counts"] == {
            "archive-not-a-zip": 1,
            "upload-too-large": 1,
        }
        assert preflight(client, good, len(good)).json()["counts"] == {"upload-too-large": 1}
    with serving(platform) as client:
        assert preflight(client, good, len(good)).json()["accepted"]
        problem(preflight(client, good, len(good) - 1), 400, "upload-invalid")
        problem(client.post("/preflight", content=good), 400, "request-invalid")


def test_a_body_or_a_child_beyond_its_limits_is_refused(
    client: Client, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = voc_zip(tmp_path / "good.zip").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(api.uploads.preflight, "CHILD_SECONDS", 0.001)
        problem(preflight(client, good, len(good)), 413, "limit-exceeded")
    with monkeypatch.context() as patch:
        patch.setattr(api.uploads.preflight, "BODY_MAX_BYTES", 100)
        problem(preflight(client, good, len(good)), 413, "limit-exceeded")
    assert not list(platform.settings.temp.glob("upload-*"))


def test_the_child_gets_no_password(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"DARKROOM_API_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"}
    for name in secrets:
        monkeypatch.setenv(name, "s3cret")
    seen = tmp_path / "environment.json"
    program = f"import json, os, pathlib; pathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ)))"
    (tmp_path / "sitecustomize.py").write_text(program)  # Python imports it at its start
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    good = voc_zip(tmp_path / "good.zip").read_bytes()
    assert preflight(client, good, len(good)).json()["accepted"]
    environment = json.loads(seen.read_text())
    assert "PATH" in environment and not secrets & set(environment)
    assert "s3cret" not in environment.values()


def test_hostile_names_are_returned_as_plain_text(client: Client, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../<script>\x1b[31m\r\n=cmd.jpg", b"x")
    content = (tmp_path / "a.zip").read_bytes()
    answer = preflight(client, content, len(content))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert all(char.isprintable() for finding in json.loads(answer.text)["findings"] for char in finding["path"])
