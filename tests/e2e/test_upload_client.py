"""The upload client against an API of the test's own; both are killed in the middle of an upload."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.db import open_database
from core.db.tables import UploadRow
from darkroom import Client, ServiceUnreachable
from tests import REPOSITORY
from tests.builders.voc import voc_zip
from tests.servers import free_port
from tests.waiting import wait_until

# What a user's script does; the id of the job is its output, and its progress goes to stderr.
UPLOAD = """
import json, sys
from darkroom import Client, DarkroomError

def report(sent):
    if sent.resumed:
        print("resuming at byte", sent.done_bytes, file=sys.stderr, flush=True)

with Client(sys.argv[1]) as client:
    try:
        dataset = client.datasets.upload(sys.argv[2], wait=False, on_progress=report, **json.loads(sys.argv[3]))
    except DarkroomError as error:
        sys.exit(str(error))
print(dataset.job_id)
print(dataset.dataset, "is", dataset.state, file=sys.stderr)
"""


class LocalService:
    """The home folder and port of one API, and the processes that a test starts there."""

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

    def start_client(self, archive: Path, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", UPLOAD, self.url, str(archive), json.dumps(options)],
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
        """Bytes received of the only upload; 0 before it exists."""
        database = open_database(self.database)
        try:
            with database.reading() as session:
                row = session.query(UploadRow).first()
                return row.received_bytes if row else 0
        finally:
            database.close()

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, seconds=60, what=lambda: (self.folder / "api.log").read_text()[-3000:])


@pytest.fixture
def local(tmp_path: Path, sqlite_url: str) -> Iterator[LocalService]:
    made = LocalService(tmp_path, sqlite_url)
    yield made
    made.end()


@pytest.fixture(scope="module")
def answering(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """One for all tests that stop none."""
    folder = tmp_path_factory.mktemp("service")
    made = LocalService(folder, f"sqlite:///{shutil.copy(sqlite_template, folder / 'darkroom.db')}")
    made.start_api()
    yield made
    made.end()


def big_zip(path: Path, *, mib: int) -> Path:
    voc_zip(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for number in range(mib // 16):
            archive.writestr(f"notes/{number}.bin", os.urandom(16 * 1024**2))
    return path


@pytest.mark.slow
def test_an_upload_survives_kill_9_of_its_client_and_of_the_service(local: LocalService) -> None:
    archive = big_zip(local.folder / "big.zip", mib=128)
    service = local.start_api()

    first = local.start_client(archive)
    local.wait_until(lambda: local.received() > 0)
    first.kill()
    first.communicate()
    stored = local.received()
    assert 0 < stored < archive.stat().st_size, "killed in the middle"

    second = local.start_client(archive)
    local.wait_until(lambda: local.received() > stored)
    service.kill()
    service.wait()
    at_the_kill = local.received()
    assert at_the_kill < archive.stat().st_size, "killed in the middle"
    local.start_api()
    stdout, stderr = second.communicate(timeout=120)

    assert second.returncode == 0, stderr
    assert "resuming at byte" in stderr and "resuming at byte 0" not in stderr
    job = httpx.get(f"{local.url}/jobs/{stdout.strip()}").json()
    assert job["source"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert len(httpx.get(f"{local.url}/jobs").json()["items"]) == 1
    assert not list((local.folder / "cache/darkroom/uploads").iterdir())


def test_the_client_sends_nothing_that_would_be_refused(answering: LocalService) -> None:
    archive = voc_zip(answering.folder / "evil.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.jpg", b"x")

    client = answering.start_client(archive)
    stdout, stderr = client.communicate(timeout=60)

    assert client.returncode == 1 and not stdout
    assert "../../evil.jpg: " in stderr and "nothing was sent" in stderr
    assert answering.received() == 0 and not httpx.get(f"{answering.url}/jobs").json()["items"]


def test_the_client_sends_options_and_names_a_bad_one(answering: LocalService) -> None:
    archive = voc_zip(answering.folder / "small.zip")

    stdout, stderr = answering.start_client(archive, project="balls", seed=7, name="Balls").communicate(timeout=60)
    assert "balls/d1 is received" in stderr
    job = httpx.get(f"{answering.url}/jobs/{stdout.strip()}").json()
    assert (job["options"]["seed"], job["name"]) == (7, "Balls"), stderr

    bad = answering.start_client(archive, seed="banana", val_fraction="many")
    printed = bad.communicate(timeout=60)[1]
    assert bad.returncode == 1 and "seed: " in printed and "val_fraction: " in printed
    assert printed.count("valid integer") == 1, printed


def test_a_service_that_does_not_answer_is_one_line_within_seconds(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(ServiceUnreachable, match=f"^{url} does not answer: [^\n]+$"):
        client.datasets.upload(voc_zip(tmp_path / "data.zip"))
