"""The upload client against a service of its own, both killed on the way."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.db import open_database
from core.db.tables import UploadRow
from tests import REPOSITORY
from tests.builders.voc import voc_zip
from tests.servers import free_port


class ByteRange:
    """A home, a port, and what is started there."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.database = database
        self.started: list[subprocess.Popen[str]] = []
        self.environment = os.environ | {
            "DARKROOM_HOME": str(folder / "home"),
            "DARKROOM_DATABASE_URL": database,
            "DARKROOM_API_PORT": self.url.rpartition(":")[2],
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def start_api(self) -> subprocess.Popen[str]:
        with (self.folder / "api.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "api"], cwd=REPOSITORY, env=self.environment, stdout=log, stderr=log, text=True
            )
        self.started.append(process)
        self.wait_until(self.answers)
        return process

    def start_client(self, archive: Path, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.upload", str(archive), "--url", self.url, *options],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def received(self) -> int:
        """Bytes of the one upload that there is."""
        database = open_database(self.database)
        try:
            with database.reading() as session:
                row = session.query(UploadRow).first()
                return row.received_bytes if row else 0
        finally:
            database.close()

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, (self.folder / "api.log").read_text()[-3000:]
            time.sleep(0.01)


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Iterator[ByteRange]:
    made = ByteRange(tmp_path, sqlite_url)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def big_zip(path: Path, *, mib: int) -> Path:
    voc_zip(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for number in range(mib // 16):
            archive.writestr(f"notes/{number}.bin", os.urandom(16 * 1024**2))
    return path


def test_an_upload_survives_kill_9_of_its_client_and_of_the_service(place: ByteRange) -> None:
    archive = big_zip(place.folder / "big.zip", mib=128)
    service = place.start_api()

    first = place.start_client(archive)
    place.wait_until(lambda: place.received() > 0)
    first.kill()
    first.communicate()
    stored = place.received()
    assert 0 < stored < archive.stat().st_size, "killed on the way"

    second = place.start_client(archive)
    place.wait_until(lambda: place.received() > stored)
    service.kill()
    service.wait()
    at_the_kill = place.received()
    assert at_the_kill < archive.stat().st_size, "killed on the way"
    place.start_api()
    told, said = second.communicate(timeout=120)

    assert second.returncode == 0, said
    assert "going on from byte" in said and "going on from byte 0" not in said
    job = httpx.get(f"{place.url}/jobs/{told.strip()}").json()
    assert job["source"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert len(httpx.get(f"{place.url}/jobs").json()["items"]) == 1
    assert not list((place.folder / "cache/darkroom/uploads").iterdir())


def test_the_client_sends_nothing_that_would_be_refused(place: ByteRange) -> None:
    place.start_api()
    archive = voc_zip(place.folder / "evil.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.jpg", b"x")

    client = place.start_client(archive)
    told, said = client.communicate(timeout=60)

    assert client.returncode == 1 and not told
    assert "archive-parent-path" in said and "nothing was sent" in said
    assert place.received() == 0 and not httpx.get(f"{place.url}/jobs").json()["items"]


def test_the_client_gives_options_on_and_names_a_bad_one(place: ByteRange) -> None:
    place.start_api()
    archive = voc_zip(place.folder / "small.zip")

    told, said = place.start_client(archive, "--option", "seed=7", "--option", "name=Balls").communicate(timeout=60)
    job = httpx.get(f"{place.url}/jobs/{told.strip()}").json()
    assert (job["options"]["seed"], job["name"]) == (7, "Balls"), said

    bad = place.start_client(archive, "--option", "seed=banana")
    assert "seed" in bad.communicate(timeout=60)[1] and bad.returncode == 1


def test_a_service_that_is_not_there_is_one_plain_line_at_once(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "deploy.local.upload", str(voc_zip(tmp_path / "data.zip")), "--url", url]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    told = [line for line in done.stderr.splitlines() if line.strip()]
    assert (done.returncode, done.stdout) == (1, "")
    assert len(told) == 1 and told[0].startswith(f"{url} does not answer: ")
