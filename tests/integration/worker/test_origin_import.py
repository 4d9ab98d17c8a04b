"""Imports from a URL, a bucket and a folder, from the request's row to the prepared set; and what is refused."""

import hashlib
import json
import os
import signal
import stat
import threading
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.db.tables import JobRow
from core.domain.errors import Unavailable
from core.services.jobs.commands import retry_job
from core.services.jobs.deletion import delete_job
from core.services.jobs.origin_import import import_origin
from core.settings import Settings
from core.storage.locked_files import is_locked
from core.storage.s3 import client_of
from core.storage.s3_bucket import Bucket, BucketObject
from http_common import remote_address
from tests.builders.voc import Files, voc_files, zip_files
from tests.servers.file_host import OUTSIDE, FileHost, file_host
from tests.servers.s3 import S3
from tests.servers.workers import OPTIONS, Stack, stack
from worker.context import Worker
from worker.inputs import zip_url
from worker.tasks import origin_import as origin_task
from worker.tasks.attempt import run_attempt
from worker.tasks.prepare import prepare_job
from worker.tasks.source_zip import source_of

SECRET = "X-Signature=c0ffee"
FILES = voc_files()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileHost]:
    monkeypatch.setattr(remote_address, "is_public", lambda address: address == OUTSIDE)
    monkeypatch.setattr(zip_url, "PAUSES_SECONDS", (0.0, 0.0))
    with file_host() as opened:
        opened.content = zip_files(tmp_path / "there.zip", FILES).read_bytes()
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder with a dataset in `balls`."""
    allowed = tmp_path / "allowed"
    for name, content in FILES.items():
        path = allowed / "balls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return allowed


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str, host: FileHost, folder: Path) -> Iterator[Stack]:
    allowed = {"import_hosts": f"{OUTSIDE}:{host.port}", "import_folders": f"/nowhere, {folder}"}
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0, **allowed) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Worker:
    return Worker(line.platform, "prepare", "test")


def new_job(line: Stack, origin: dict[str, Any]) -> str:
    return import_origin(line.platform, name="balls", source_name="balls.zip", origin=origin, options=OPTIONS).id


def imported(line: Stack, origin: dict[str, Any]) -> JobRow:
    job_id = new_job(line, origin)
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    return line.job(job_id)


def sourced(line: Stack, job_id: str) -> JobRow:
    """The job once its source is stored; it is not prepared."""
    worker = Worker(line.platform, "prepare", "test")
    run_attempt(worker, JobRow, job_id, lambda attempt, job: source_of(attempt, job) and None)
    return line.job(job_id)


def files_of(line: Stack, job: JobRow) -> Files:
    assert job.source_key, job.problem
    line.platform.store.fetch(job.source_key, line.folder / "fetched.zip")
    with zipfile.ZipFile(line.folder / "fetched.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def of_url(host: FileHost, **more: Any) -> dict[str, Any]:
    return {"kind": "url", "location": host.url(host=OUTSIDE), "query": SECRET, **more}


def outcome(job: JobRow) -> tuple[str, str | None, str | None]:
    problem = job.problem or {}
    return job.state, problem.get("slug"), problem.get("reason")


def metadata(line: Stack, job: JobRow) -> dict[str, Any]:
    path = line.folder / f"{job.id}.json"
    line.platform.store.fetch(str(job.metadata_key), path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_zip_at_a_url_becomes_a_dataset_and_its_signature_is_forgotten(
    line: Stack, host: FileHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.breaks = [len(host.content) // 2]
    digest = hashlib.sha256(host.content).hexdigest()
    job = imported(line, of_url(host, sha256=digest))
    assert (job.state, job.kind, job.classes) == ("ready", "detection", ["ball", "cube"]), job.problem
    assert (job.source_sha256, job.source_bytes) == (digest, len(host.content)), "the ZIP as it is"
    assert [path.partition("?")[2] for path, _ in host.requests] == [SECRET] * 2
    known = {"kind": "url", "location": host.url(host=OUTSIDE), "sha256": digest, "etag": '"one"', "files": 1}
    assert job.imported_from == known | {"bytes": len(host.content)}
    assert metadata(line, job)["source"]["imported_from"] == job.imported_from
    assert SECRET not in caplog.text
    assert list((line.settings.temp / ".promises").iterdir()) == []


def test_a_url_is_tried_again_as_it_was_after_a_failure_and_not_after_a_rejection(line: Stack, host: FileHost) -> None:
    host.statuses = [503] * 3
    failed = imported(line, of_url(host))
    assert outcome(failed) == ("failed", "import-unavailable", None)
    assert (failed.imported_from or {})["query"] == SECRET and SECRET not in json.dumps(failed.problem)
    retry_job(line.platform, failed.id)
    assert sourced(line, failed.id).source_sha256 == hashlib.sha256(host.content).hexdigest()

    rejected = imported(line, of_url(host, sha256="0" * 64))
    assert outcome(rejected) == ("rejected", "import-unusable", "sha256")
    assert "query" not in (rejected.imported_from or {})
    host.content = b"not a ZIP"
    assert outcome(imported(line, of_url(host)))[:2] == ("rejected", "archive-refused")


def test_a_place_that_is_no_longer_allowed_fails_the_job_by_name(line: Stack, tmp_path: Path, sqlite_url: str) -> None:
    origins = {
        "DARKROOM_IMPORT_HOSTS": {"kind": "url", "location": "https://other.example/a.zip"},
        "DARKROOM_IMPORT_BUCKETS": {"kind": "s3", "location": "s3://datasets/balls"},
        "DARKROOM_IMPORT_FOLDERS": {"kind": "folder", "location": "/srv/balls"},
    }
    for setting, origin in origins.items():
        job = imported(line, origin)
        assert outcome(job)[:2] == ("failed", "import-not-allowed")
        assert (job.problem or {})["setting"] == setting


@pytest.mark.parametrize("ending", ["deleted", "drained"])
def test_a_download_ends_when_the_job_is_deleted_or_the_worker_drains(
    line: Stack, worker: Worker, host: FileHost, ending: str
) -> None:
    host.slow = True
    job_id = new_job(line, of_url(host))
    task = threading.Thread(target=prepare_job, args=(worker, job_id))
    task.start()
    assert host.sending.wait(10)
    assert line.until(lambda: line.job(job_id).progress)["total"] == len(host.content)
    if ending == "deleted":
        delete_job(line.platform, job_id)
    else:
        worker.draining.set()
    task.join(5)
    assert not task.is_alive()
    assert list((line.settings.temp / "attempts").iterdir()) == []
    assert list((line.settings.temp / ".promises").iterdir()) == []
    if ending == "drained":  # the next attempt begins again
        host.slow = False
        prepare_job(Worker(line.platform, "prepare", "next"), job_id)
        job = line.job(job_id)
        assert (job.state, job.attempt) == ("ready", 2)


def test_an_import_is_not_begun_without_room_for_it(tmp_path: Path, sqlite_url: str, host: FileHost) -> None:
    allowed = {"import_hosts": f"{OUTSIDE}:{host.port}", "disk_reserve_bytes": 2**60}
    with stack(tmp_path, sqlite_url, "", **allowed) as line:
        job = imported(line, of_url(host))
    assert outcome(job)[:2] == ("failed", "no-space")


def test_the_files_of_a_folder_become_a_zip(line: Stack, folder: Path) -> None:
    (folder / "balls" / ".git").mkdir()
    (folder / "balls" / ".git" / "config").write_text("[remote]")
    name = sorted(name for name in FILES if name.endswith(".jpg"))[0]
    elsewhere = folder / "by-content" / "0001"
    elsewhere.parent.mkdir()
    (folder / "balls" / name).rename(elsewhere)
    (folder / "balls" / name).symlink_to(os.path.relpath(elsewhere, (folder / "balls" / name).parent))
    origin = {"kind": "folder", "location": str(folder / "balls")}
    job = imported(line, origin)
    assert (job.state, files_of(line, job)) == ("ready", FILES), job.problem
    assert job.imported_from == origin | {"files": len(FILES), "bytes": sum(map(len, FILES.values()))}
    again = sourced(line, new_job(line, origin))
    assert again.source_sha256 == job.source_sha256, "the same files make the same ZIP"

    zipped = zip_files(folder / "balls.ZIP", FILES)
    job = sourced(line, new_job(line, {"kind": "folder", "location": str(zipped)}))
    assert job.source_sha256 == hashlib.sha256(zipped.read_bytes()).hexdigest()


def test_nothing_outside_an_allowed_folder_is_read(line: Stack, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    (folder / "out").symlink_to(secret)
    (folder / "home").symlink_to(line.settings.home)
    balls = folder / "balls"
    attempts: dict[str, Any] = {
        "linked folder": lambda: folder / "out",
        "linked file": lambda: (balls / "key.txt").symlink_to(secret / "key.txt") or balls,
        "dangling": lambda: (balls / "none.txt").symlink_to("none") or balls,
        "folder within": lambda: (balls / "more").symlink_to(folder / "balls") or balls,
        "pipe": lambda: os.mkfifo(balls / "pipe.jpg") or balls,
        "socket": lambda: os.mknod(balls / "socket.jpg", stat.S_IFSOCK | 0o600) or balls,
        "a file": lambda: balls / sorted(FILES)[0],
        "missing": lambda: folder / "no",
        "bytes": lambda: (balls / "\udcff.txt").write_text("a") and balls,
    }
    for what, make in attempts.items():
        before = set(balls.iterdir())
        job = imported(line, {"kind": "folder", "location": str(make())})
        assert outcome(job)[:2] == ("rejected", "import-unusable"), (what, job.problem)
        assert "secret" not in json.dumps(job.problem).replace(str(tmp_path), "")
        for added in set(balls.iterdir()) - before:
            added.rename(tmp_path / f"taken {what}")
    for place in (folder / "home", folder / "home" / "objects"):
        assert outcome(imported(line, {"kind": "folder", "location": str(place)}))[0] == "rejected"


def test_the_services_own_files_are_never_imported(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shortcut").symlink_to(tmp_path / "home")
    with stack(tmp_path, sqlite_url, "", import_folders=str(tmp_path)) as line:
        line.platform.store.make_ready()
        for place in (tmp_path, tmp_path / "home", tmp_path / "home" / "objects", tmp_path / "data" / "shortcut"):
            assert outcome(imported(line, {"kind": "folder", "location": str(place)}))[:2] == (
                "failed",
                "import-not-allowed",
            )


def test_the_objects_below_a_prefix_become_a_zip(
    tmp_path: Path, sqlite_url: str, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = urlsplit(s3_settings.store).netloc
    client = client_of(s3_settings, s3_settings.s3_endpoint)
    zipped = zip_files(tmp_path / "balls.zip", FILES).read_bytes()
    objects = {f"sets/balls/{name}": content for name, content in FILES.items()}
    objects |= {"sets/balls/": b"", "sets/balls/.DS_Store": b"x", "sets/balls2/other.jpg": b"x", "private/a.jpg": b"x"}
    for key, content in (objects | {"sets/balls.zip": zipped, "some/prefix/balls.zip": zipped}).items():
        client.put_object(Bucket=bucket, Key=key, Body=content)
    keys = {name: getattr(s3_settings, name) for name in ("s3_endpoint", "s3_access_key", "s3_secret_key", "store_url")}
    allowed = f"s3://{bucket}/sets,s3://{bucket}/some,s3://{bucket}-none"
    with stack(tmp_path, sqlite_url, "", import_buckets=allowed, **keys) as line:

        def of_bucket(prefix: str, name: str = bucket) -> dict[str, Any]:
            return {"kind": "s3", "location": f"s3://{name}/{prefix}".rstrip("/")}

        job = sourced(line, new_job(line, of_bucket("sets/balls")))
        assert files_of(line, job) == FILES
        known = {"kind": "s3", "location": f"s3://{bucket}/sets/balls", "files": len(FILES)}
        assert job.imported_from == known | {"bytes": sum(map(len, FILES.values()))}

        whole = sourced(line, new_job(line, of_bucket("sets/balls.zip")))
        digest = hashlib.sha256(zipped).hexdigest()
        assert (whole.source_sha256, (whole.imported_from or {})["sha256"]) == (digest, digest)
        assert (whole.imported_from or {})["etag"] == hashlib.md5(zipped, usedforsecurity=False).hexdigest()

        broken_off(monkeypatch, times=3)
        again = sourced(line, new_job(line, of_bucket("sets/balls")))
        assert again.source_sha256 == job.source_sha256, again.problem
        broken_off(monkeypatch, times=1000)
        assert outcome(imported(line, of_bucket("sets/balls.zip")))[:2] == ("failed", "import-unavailable")

        assert outcome(imported(line, of_bucket("sets/none"))) == ("rejected", "import-unusable", "empty")
        assert outcome(imported(line, of_bucket("", f"{bucket}-none"))) == ("rejected", "import-unusable", "bucket")
        for prefix in ("", "private", "setsx", "some/prefix", "some", "some/prefix/balls.zip"):
            assert outcome(imported(line, of_bucket(prefix)))[:2] == ("failed", "import-not-allowed"), prefix


def broken_off(monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    """The next objects end after half of what was requested, at most 500 bytes, as of a server that dies."""
    real, left = Bucket.open, [times]

    def open_half(self: Bucket, listed: BucketObject, *, start: int = 0) -> Generator[bytes, None, None]:
        whole = b"".join(real(self, listed, start=start))
        if left[0] <= 0:
            yield whole
            return
        left[0] -= 1
        if left[0] < 500:
            yield whole[: min(500, len(whole) // 2)]
        raise Unavailable("The object store broke off.", service="store", cause="Test")

    monkeypatch.setattr(Bucket, "open", open_half)
    monkeypatch.setattr(origin_task, "PAUSES_SECONDS", (0.0, 0.0))


@pytest.mark.slow
def test_an_import_whose_worker_is_killed_begins_again(tmp_path: Path, sqlite_url: str, private_s3: S3) -> None:
    keys = private_s3.settings
    settings = Settings(**keys)
    client = client_of(settings, settings.s3_endpoint)
    client.create_bucket(Bucket="sets")
    for name, content in FILES.items():
        client.put_object(Bucket="sets", Key=f"balls/{name}", Body=content)
    with stack(tmp_path, sqlite_url, "", import_buckets="s3://sets", **keys) as line:
        with private_s3.frozen():
            job_id = new_job(line, {"kind": "s3", "location": "s3://sets/balls"})
            first = line.start("prepare")
            line.until(lambda: line.job(job_id).stage == "importing")
            first.send_signal(signal.SIGKILL)
            first.wait()
        line.start("housekeeping")
        line.start("prepare")
        job = line.until(lambda: line.job(job_id) if line.job(job_id).state == "ready" else None)
        assert (job.attempt, files_of(line, job)) == (2, FILES), line.logs()
        assert f"/{job.attempt}/" in str(job.source_key)
        assert [path for path in (line.settings.temp / ".promises").iterdir() if is_locked(path)] == []
