"""The OpenAPI document and the service agree: generated requests, valid and not, alone and in sequences."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import api.http.long_poll
import api.http.sse
from core.domain.keys import upload_key
from core.services.context import Platform, open_platform
from core.services.models.versions import set_alias
from core.settings import Settings
from tests import REPOSITORY
from tests.builders import evaluated, published, rows
from tests.servers import free_port
from tests.servers.api import serving
from tests.servers.predictions import predictions

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait of 60 s takes 60 ms, an event stream 200 ms."""
    monkeypatch.setattr(api.http.sse, "MAX_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(api.http.long_poll, "CLIENT_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(api.http.long_poll, "clock", SimpleNamespace(monotonic=lambda: time.monotonic() * 1000))


@pytest.mark.slow
def test_the_service_page_answers_as_documented(sqlite_url: str, tmp_path: Path) -> None:
    with _filled_service(sqlite_url, tmp_path, token="") as url:
        _agree(url, "--phases=coverage", "--include-tag=service", "--include-tag=training")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("token", ["", "s3cret"], ids=["open", "with a token"])
@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing", "stateful"])
def test_generated_requests_get_documented_answers(sqlite_url: str, tmp_path: Path, token: str, phases: str) -> None:
    with _filled_service(sqlite_url, tmp_path, token=token) as url:
        bounded = [] if "coverage" in phases else ["--max-time=40"]
        _agree(url, f"--phases={phases}", *bounded, *(["--header", f"Authorization: Bearer {token}"] if token else []))


@contextmanager
def _filled_service(database_url: str, home: Path, *, token: str) -> Iterator[str]:
    """The URL of a service with jobs, runs, versions with exports, an alias and an evaluation, and of serving."""
    port = free_port()
    limits = {"api_token": token, "upload_max_bytes": 10_000_000, "serving_url": f"http://127.0.0.1:{port}"}
    platform = open_platform(Settings.model_validate({"home": home / "home", "database_url": database_url, **limits}))
    job = _ready_job(platform)
    for weights in (b"first", b"second"):
        published.export(platform, published.version(platform, job, weights), b"onnx")
    set_alias(platform.db, job, "production", version="v1")
    rows.queued_run(platform, job)
    evaluated.evaluation(platform, job, {"mAP50": 0.9, "images": 10}, version=job)
    try:
        with predictions(platform, port=port), serving(platform) as client:
            yield str(client.base_url)
    finally:
        platform.db.close()


def _ready_job(platform: Platform) -> str:
    job = published.ready_job(platform)
    published.put(platform, str(job.source_key or upload_key(job.id)), b"PK" * 5)
    return job.id


def _agree(url: str, *options: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run", *options]
    done = subprocess.run([*command, f"{url}/openapi.json"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
