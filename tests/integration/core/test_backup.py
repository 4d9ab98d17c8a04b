"""A backup by the commands of docs/operations.md, restored in an empty place: the same bytes are served, or named."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from core.backup.__main__ import main
from core.domain.keys import upload_key
from core.services.context import Platform, open_platform
from core.settings import Settings
from core.storage import open_store
from tests import REPOSITORY
from tests.builders import published
from tests.builders.mirrored import client, mirror, mirroring
from tests.servers import mlflow, postgres
from tests.servers.api import serving

SLUG = "raccoons"
WEIGHTS, ONNX, SOURCE = b"weights " * 9000, b"onnx " * 7000, b"PK source " * 3000


@dataclass
class Place:
    """An installation, and how another one is made beside it."""

    settings: Settings
    other: Settings
    backup: str  # a store

    def run(self, settings: Settings, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "core.backup", *command],
            cwd=REPOSITORY,
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


def environment(settings: Settings) -> dict[str, str]:
    changed = settings.model_dump(exclude_unset=True)
    ours = {
        f"DARKROOM_{name.upper()}": str(value.get_secret_value() if isinstance(value, SecretStr) else value)
        for name, value in changed.items()
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")} | ours


@pytest.fixture(params=["sqlite and a folder", pytest.param("postgres and s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param == "sqlite and a folder":
            url = request.getfixturevalue("sqlite_url")
            restored = f"sqlite:///{tmp_path / 'elsewhere' / 'darkroom.db'}"
            stores: list[dict[str, Any]] = [{}, {}]
            backup = (tmp_path / "backup").as_uri()
        else:
            server, url = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_copy")
            restored = stack.enter_context(postgres.database(server))
            s3 = request.getfixturevalue("s3_server")
            buckets = [f"s3://darkroom-{uuid4().hex[:12]}/live" for _ in range(3)]
            stores = [{**s3, "store_url": bucket} for bucket in buckets[:2]]
            backup = buckets[2]
        settings = Settings(home=tmp_path / "home", database_url=url, **stores[0])
        open_store(settings).make_ready()
        yield Place(settings, Settings(home=tmp_path / "elsewhere", database_url=restored, **stores[1]), backup)


def fill(platform: Platform) -> dict[str, str]:
    """A dataset with its upload, a version and an export. Returns the sha256 of what is served at each path."""
    job = published.ready_job(platform, project=SLUG)
    version = published.version(platform, job.id, WEIGHTS)
    export = published.export(platform, version, ONNX)
    published.put(platform, upload_key(job.id), SOURCE)
    with platform.db.transaction() as session:
        row = session.get_one(type(job), job.id)
        row.source_bytes, row.source_sha256 = len(SOURCE), hashlib.sha256(SOURCE).hexdigest()
    contents = {
        f"/dataset/source/{job.id}": SOURCE,
        f"/dataset/download/{job.id}": published.TAR,
        f"/dataset/metadata/{job.id}": published.METADATA,
        f"/download/model/{SLUG}": WEIGHTS,
        f"/models/{SLUG}/v1/exports/{export.id}/download": ONNX,
    }
    return {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}


def served(http: httpx.Client, paths: dict[str, str]) -> dict[str, str]:
    answers = {path: http.get(path, params={"link": False} if "metadata" not in path else {}) for path in paths}
    return {path: hashlib.sha256(answer.raise_for_status().content).hexdigest() for path, answer in answers.items()}


def back_up_database(place: Place, copy: Path) -> None:
    url = make_url(place.settings.database)
    if url.get_backend_name() == "sqlite":
        subprocess.run([needed("sqlite3"), str(url.database), f".backup {copy}"], check=True)
    else:
        subprocess.run([needed("pg_dump"), "--format=custom", f"--file={copy}", plain(place.settings)], check=True)


def restore_database(place: Place, copy: Path) -> None:
    url = make_url(place.other.database)
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir()
        shutil.copy(copy, str(url.database))
    else:
        command = [needed("pg_restore"), "--no-owner", f"--dbname={plain(place.other)}", str(copy)]
        subprocess.run(command, check=True)


def plain(settings: Settings) -> str:
    return make_url(settings.database).set(drivername="postgresql").render_as_string(hide_password=False)


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"No {program} on PATH.")
    return found


@pytest.mark.slow
def test_a_restored_installation_serves_the_same_bytes(place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "database.copy"
    live = open_platform(place.settings)
    paths = fill(live)
    back_up_database(place, copy)
    first = place.run(place.settings, "save", place.backup)
    assert not first.startswith("copied 0")
    later = fill(live)  # after the backup of the database: its objects may be in the backup, its rows are not
    assert place.run(place.settings, "save", place.backup).endswith(f"{first.split()[1]} were there already\n")

    restore_database(place, copy)
    assert place.run(place.other, "verify", code=1).count("missing: ") == 7, "rows alone"
    place.run(place.other, "restore", place.backup)
    assert place.run(place.other, "verify").endswith("no faults\n")
    assert place.run(place.other, "verify", "--quick").endswith("no faults\n")

    restored = open_platform(place.other)
    with serving(restored) as http:
        assert served(http, paths) == paths
        assert [http.get(path).status_code for path in later if path not in paths][:1] == [404]
        fill(restored)  # it goes on: the next number, the next upload
        assert http.get(f"/models/{SLUG}/v2").status_code == 200
    damage(restored, next(path for path in paths if path.startswith("/dataset/source")).rpartition("/")[2])
    assert "other size: uploads/" in place.run(place.other, "verify", code=1)
    for each in (live, restored):
        each.db.close()


def damage(platform: Platform, job_id: str) -> None:
    platform.store.delete_prefix(upload_key(job_id))
    published.put(platform, upload_key(job_id), b"something else")


def test_a_wrong_use_is_explained(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if place.backup.startswith("s3"):
        pytest.skip("the same for every store")
    for name, value in environment(place.settings).items():
        monkeypatch.setenv(name, value)
    for wrong in ((), ("save",), ("save", "ftp://host/x"), ("save", place.settings.store), ("verify", "--fast")):
        assert main(wrong) == 2
    assert main(["--help"]) == 0
    assert "restore STORE" in capsys.readouterr().out


@pytest.mark.slow
def test_an_empty_mlflow_is_filled_again(tmp_path: Path, sqlite_url: str, mlflow_url: str) -> None:
    with mirroring(tmp_path / "home", sqlite_url, mlflow_url) as platform:
        job = published.ready_job(platform, project=SLUG)
        published.version(platform, job.id, WEIGHTS)
        mirror(platform)
        assert client(mlflow_url).get_model_version(SLUG, "1").tags["darkroom.version"] == "v1"
    place = Place(platform.settings, platform.settings, "")
    with mlflow.mlflow() as empty, mirroring(tmp_path / "home", sqlite_url, empty) as platform:
        mirror(platform)
        assert client(empty).search_registered_models() == [], "the rows say that MLflow has everything"
        place.run(platform.settings, "refill-mlflow")
        mirror(platform)
        assert client(empty).get_model_version(SLUG, "1").tags["darkroom.version"] == "v1"
