"""Room on the disk: what is promised to an upload counts, every upload asks again, and a reserve is kept.

The disk is simulated at its edge: `shutil.disk_usage` reports what the test sets, less the size of what lies in `home`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import update

from core.db.clock import db_now
from core.db.tables import UploadRow
from core.domain.errors import UploadLocked
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.uploads import room as uploads_room
from core.services.uploads.finish import finish_upload
from core.storage.locked_files import LEFTOVER_SECONDS
from core.storage.room import Room
from tests import REPOSITORY
from tests.integration.api.test_resumable_uploads import patch, start_answer
from tests.servers.api import problem, serving
from tests.waiting import wait_until

RESERVE = 4 * MIB  # as tests/conftest.py sets it


class Disk:
    """Its free bytes, less all that lies below `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bytes = 10**12

    def usage(self, _path: object) -> Any:
        sizes = [path.lstat() for path in self.home.rglob("*") if ".promises" not in path.parts]
        return SimpleNamespace(free=self.bytes - sum(stat.st_size for stat in sizes))


@pytest.fixture
def disk(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(platform.settings.home)
    monkeypatch.setattr("shutil.disk_usage", disk.usage)
    monkeypatch.setattr(uploads_room, "ASK_EVERY_BYTES", MIB)
    return disk


def send(client: Client, content: Any) -> Response:
    return client.post("/upload-dataset", content=content, headers={"content-type": "application/zip"})


def slowly(size: int, *, seconds: float = 0.0) -> Iterator[bytes]:
    """A body without a Content-Length."""
    for _ in range(size // MIB):
        time.sleep(seconds)
        yield bytes(MIB)


def test_of_six_uploads_only_those_are_accepted_whose_parts_and_joined_object_fit(client: Client, disk: Disk) -> None:
    disk.bytes = RESERVE + 444 * MIB
    answers = [start_answer(client, 100 * MIB) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [201, 201, 507, 507, 507, 507]
    assert problem(answers[2], 507, "out-of-space")["promised_bytes"] == 400 * MIB
    client.delete(answers[0].headers["location"], headers={"tus-resumable": "1.0.0"})
    assert start_answer(client, 100 * MIB).status_code == 201


def test_uploads_started_at_once_are_not_promised_the_same_bytes(client: Client, disk: Disk) -> None:
    disk.bytes = RESERVE + 500 * MIB
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: start_answer(client, 100 * MIB).status_code, range(8)))
    assert sorted(codes) == [201, 201, *6 * [507]]


def test_a_promise_without_new_bytes_for_an_hour_is_given_to_others(
    client: Client, platform: Platform, disk: Disk
) -> None:
    disk.bytes = RESERVE + 250 * MIB
    path = start_answer(client, 100 * MIB).headers["location"]
    problem(start_answer(client, 100 * MIB), 507, "out-of-space")
    idle = db_now() + platform.settings.keep_upload_hours * 3600 - 3601
    with platform.db.transaction() as session:
        session.execute(update(UploadRow).values(expires_at=idle))

    assert start_answer(client, 100 * MIB).status_code == 201
    problem(patch(client, path, 0, bytes(MIB)), 507, "out-of-space")


def test_each_chunk_asks_again_and_continues_when_there_is_room(client: Client, disk: Disk) -> None:
    disk.bytes = RESERVE + 40 * MIB
    path = start_answer(client, 10 * MIB).headers["location"]
    assert patch(client, path, 0, bytes(2 * MIB)).status_code == 204
    full, disk.bytes = disk.bytes, RESERVE + 4 * MIB  # another program has filled it

    problem(patch(client, path, 2 * MIB, bytes(2 * MIB)), 507, "out-of-space")
    disk.bytes = full
    assert patch(client, path, 2 * MIB, bytes(8 * MIB)).headers["darkroom-job-id"]


def test_a_complete_upload_that_cannot_be_joined_is_joined_once_there_is_room(
    client: Client, platform: Platform, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.bytes = RESERVE + 40 * MIB
    path = start_answer(client, 4 * MIB).headers["location"]
    joining = uploads_room.UploadRoom.for_joining

    def filled(room: uploads_room.UploadRoom, row: UploadRow) -> uploads_room.GrantedRoom:
        disk.bytes = RESERVE
        return joining(room, row)

    monkeypatch.setattr(uploads_room.UploadRoom, "for_joining", filled)
    assert patch(client, path, 0, bytes(4 * MIB)).headers["upload-offset"] == str(4 * MIB)
    assert client.get(path).json()["job_id"] is None
    monkeypatch.undo()
    for _ in range(50):
        with platform.db.transaction() as session:
            session.execute(update(UploadRow).values(holder=None))  # 30 s later
        with suppress(UploadLocked):  # the service itself tries again at this moment
            finish_upload(platform, path.rpartition("/")[2])
            break
    assert client.get(path).json()["job_id"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_asks_again_while_it_streams(client: Client, platform: Platform, disk: Disk, announced: bool) -> None:
    disk.bytes = RESERVE + 60 * MIB
    half_sent = iter(range(8))

    def content() -> Iterator[bytes]:
        for chunk in slowly(12 * MIB):
            if next(half_sent, None) is None:
                disk.bytes = RESERVE + 8 * MIB
            yield chunk

    headers = {"content-type": "application/zip"} | ({"content-length": str(12 * MIB)} if announced else {})
    problem(client.post("/upload-dataset", content=content(), headers=headers), 507, "out-of-space")
    assert Room(platform.settings.temp, reserve_bytes=0).promised_bytes() == 0


def test_what_is_announced_is_promised_from_the_first_byte_to_all_processes(
    client: Client, platform: Platform, disk: Disk
) -> None:
    disk.bytes = RESERVE + 100 * MIB
    with serving(platform, disk_reserve_bytes=RESERVE) as other, ThreadPoolExecutor(1) as pool:
        first = pool.submit(send_slowly, client, 40 * MIB)
        room = Room(platform.settings.temp, reserve_bytes=0)
        wait_until(lambda: room.promised_bytes() > 40 * MIB, seconds=10, what="the promise")
        refused = problem(send(other, bytes(20 * MIB)), 507, "out-of-space")
        assert 40 * MIB < refused["promised_bytes"] <= 80 * MIB
        assert first.result().status_code == 202
    assert room.promised_bytes() == 0


def send_slowly(client: Client, size: int) -> Response:
    headers = {"content-type": "application/zip", "content-length": str(size)}
    return client.post("/upload-dataset", content=slowly(size, seconds=0.02), headers=headers)


MAKE_A_PROMISE = """
import sys, time
from pathlib import Path
from core.storage.locked_files import lock_file
from core.storage.room import Room
folder = Path(sys.argv[1])
promise = Room(folder, reserve_bytes=0).promise(1000)
file = (folder / "upload-killed.part").open("xb")
lock_file(file)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_promises_nothing_and_its_temporary_file_is_removed(platform: Platform) -> None:
    temp = platform.settings.temp
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_A_PROMISE, str(temp)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        long_ago = time.time() - LEFTOVER_SECONDS - 1
        os.utime(temp / "upload-killed.part", (long_ago, long_ago))
        (temp / "upload-young.part").touch()
        room = Room(temp, reserve_bytes=0)
        with serving(platform) as client:
            client.get("/health")
            assert room.promised_bytes() == 1000 and (temp / "upload-killed.part").exists(), "it is alive"
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert room.promised_bytes() == 0
    with serving(platform):
        wait_until(lambda: not (temp / "upload-killed.part").exists(), seconds=10, what="the removal")
    assert (temp / "upload-young.part").exists()


def test_a_folder_that_cannot_be_written_is_a_service_that_does_not_answer(client: Client, platform: Platform) -> None:
    """As on a disk that became read-only, with the means that root has too."""
    folder = platform.settings.store_folder
    assert folder is not None
    shutil.rmtree(folder / ".promises", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".promises").touch()
    body = problem(send(client, b"PK"), 503, "unavailable")
    assert "fails: " in body["detail"]
