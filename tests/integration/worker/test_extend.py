"""Extensions by the real children: revisions over HTTP, what is refused, and processes that are killed on the way."""

import base64
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select, update

from core.db.tables import JobRow
from core.services.jobs.commands import retry_job
from core.services.jobs.deletion import delete_job
from core.storage import StoredObject
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import validate_archive
from pipeline.process.progress import StageReporter
from tests.builders.voc import Files, annotation, image_bytes, voc_files, zip_files
from tests.children import supervised_child
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem, serving
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.inputs.scratch import scratch_root
from worker.tasks.prepare import prepare_job
from worker.tasks.retention import delete_orphans


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Iterator[Worker]:
    yield Worker(line.platform, "prepare", "test")
    # The threads of a lease keeper end a moment after it: before that the database cannot be closed.
    for thread in threading.enumerate():
        if thread.name in ("keep_heartbeat", "keep_polling"):
            thread.join(10)


@pytest.fixture
def http(line: Stack) -> Iterator[httpx.Client]:
    with serving(line.platform) as opened:
        yield opened


def _new(number: int, name: str = "ball") -> Files:
    """An image that resembles no other, with one box."""
    rng = random.Random(number)
    corners = [(rng.randint(1, 80), rng.randint(1, 50)) for _ in range(9)]
    drawn = [("", float(x), float(y), x + 14.0, y + 12.0) for x, y in corners]
    image, boxes = image_bytes(boxes=drawn, seed=1000 + number), [(name, 3.0, 4.0, 40.0, 50.0)]
    return {f"n{number}.jpg": image, f"n{number}.xml": annotation(f"n{number}.jpg", boxes)}


def _first(line: Stack, worker: Worker, folder: Path, project: str | None = "balls") -> str:
    job_id = line.upload(zip_files(folder / "first.zip", voc_files(images=16)), project=project)
    prepare_job(worker, job_id)
    assert line.job(job_id).state == "ready", line.job(job_id).problem
    return job_id


def _post(http: httpx.Client, files: Files, extends: str, folder: Path, **query: str) -> httpx.Response:
    content = zip_files(folder / "more.zip", files).read_bytes()
    headers = {"content-type": "application/zip"}
    return http.post("/upload-dataset", params={"extends": extends, **query}, content=content, headers=headers)


def _splits(http: httpx.Client, job_id: str) -> dict[str, str]:
    items: list[dict[str, Any]] = http.get(f"/dataset/images/{job_id}", params={"limit": 100}).json()["items"]
    return {item["sha256"]: item["split"] for item in items}


@pytest.mark.slow
def test_five_revisions_over_http(line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path) -> None:
    newest = _first(line, worker, tmp_path)
    ever = _splits(http, newest)
    for number in range(2, 7):
        gone = http.get(f"/dataset/images/{newest}", params={"split": "train", "sort": "-path"}).json()["items"][0]
        files = {**_new(number), **_new(number + 100, f"class{number}"), **_new(number + 200, f"class{number}")}
        files["darkroom-remove.txt"] = f"{gone['path']}\n".encode()
        if number > 3:
            files |= _new(number - 1, "cube")  # it comes again with another class
        parent = newest if number % 2 else f"balls/d{number - 1}"
        accepted = _post(http, files, parent, tmp_path)
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["dataset"] == f"balls/d{number}"
        before, newest = newest, accepted.json()["job_id"]
        prepare_job(worker, newest)
        job = http.get(f"/jobs/{newest}").json()
        assert (job["state"], job["parent_job_id"]) == ("ready", before), job["problem"]
        assert job["links"]["extends"] == f"/jobs/{before}" and job["format"] == "darkroom"
        assert job["source"]["extension"]["additions"]["name"] == "upload.zip"
        assert job["classes"][:2] == ["ball", "cube"] and job["classes"][-1] == f"class{number}"
        splits = _splits(http, newest)
        assert gone["sha256"] not in splits and len(splits) == job["images"] == 16 + 2 * (number - 1)
        assert all(ever.setdefault(sha256, split) == split for sha256, split in splits.items())
        assert ("extend-annotations-replaced" in job["findings"]) == (number > 3)
    source = tmp_path / "source.zip"
    source.write_bytes(http.get(f"/dataset/source/{newest}").content)
    (tmp_path / "offline").mkdir()
    offline = validate_archive(source, tmp_path / "offline", PrepareOptions(), processes=1, steps=StageReporter())
    assert offline.digests.fingerprint == job["fingerprint"]


@POSTGRES_IS_SLOW
def test_the_zip_that_was_made_is_prepared_where_it_lies(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _first(line, worker, tmp_path)
    fetched: list[str] = []
    store = type(line.platform.store)
    original = store.fetch

    def noting(receive: Callable[[Any, str, Path], StoredObject]) -> Callable[[Any, str, Path], StoredObject]:
        def receive_and_note(self: Any, key: str, path: Path) -> StoredObject:
            fetched.append(path.name)
            return receive(self, key, path)

        return receive_and_note

    for name in ("fetch", "lend"):
        monkeypatch.setattr(store, name, noting(getattr(store, name)))
    job_id = _post(http, _new(1), first, tmp_path).json()["job_id"]
    prepare_job(worker, job_id)
    job = line.job(job_id)
    assert job.state == "ready", job.problem
    assert sorted(fetched) == ["additions.zip", "parent-samples.tar", "parent.sqlite", "parent.zip"]
    stored = tmp_path / "stored.zip"
    assert original(line.platform.store, str(job.source_key), stored).sha256 == job.source_sha256
    (tmp_path / "offline").mkdir()
    options = PrepareOptions.model_validate(job.options)
    offline = validate_archive(stored, tmp_path / "offline", options, processes=1, steps=StageReporter())
    assert offline.digests.fingerprint == job.fingerprint


@POSTGRES_IS_SLOW
def test_what_cannot_be_extended_is_409_and_its_options_are_checked(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    waiting = line.upload(zip_files(tmp_path / "waiting.zip", voc_files()))
    refused = _post(http, _new(1), waiting, tmp_path)
    assert (refused.status_code, refused.json()["slug"]) == (409, "job-not-extendable")
    assert _post(http, _new(1), "job_" + "0" * 26, tmp_path).status_code == 404
    assert _post(http, _new(1), "nowhere/d1", tmp_path).json()["slug"] == "project-not-found"
    first = _first(line, worker, tmp_path)
    assert _post(http, _new(1), "balls/d9", tmp_path).json()["slug"] == "job-not-found"
    for query in ({"split": "remake"}, {"project": "others"}):
        refused = _post(http, _new(1), first, tmp_path, **query)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, *query)
    options = line.job(first).options | {"test_fraction": 0.5}
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == first).values(options=options))
    refused = _post(http, _new(1), first, tmp_path, val_fraction="0.5")
    assert refused.status_code == 400 and "leave at least 0.1" in refused.text, "with the test_fraction of the parent"
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == first).values(source_key=None))
    refused = _post(http, _new(1), first, tmp_path)
    assert (refused.status_code, refused.json()["slug"]) == (409, "job-not-extendable")


@POSTGRES_IS_SLOW
def test_a_resumable_upload_extends_and_the_project_of_a_single_upload_becomes_one_of_several(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path, project=None)
    slug = line.job(first).project
    content = zip_files(tmp_path / "more.zip", _new(7)).read_bytes()
    metadata = {"filename": "more.zip", "extends": first, "val_fraction": "0.3"}
    headers = {
        "tus-resumable": "1.0.0",
        "upload-length": str(len(content)),
        "upload-metadata": ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in metadata.items()),
        "content-type": "application/offset+octet-stream",
    }
    answer = http.post("/uploads", headers=headers, content=content)
    assert answer.status_code == 201, answer.text
    job_id = line.until(lambda: http.get(f"/uploads/{answer.json()['upload_id']}").json().get("job_id"))
    prepare_job(worker, job_id)
    job = http.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["dataset"], job["images"]) == ("ready", f"{slug}/d2", 17), job["problem"]
    assert job["options"]["val_fraction"] == 0.3
    assert f'"{slug}"' in http.get("/projects").text, "it is one like any other"
    delete_job(line.platform, job_id)
    assert line.job(first).state == "ready"


@POSTGRES_IS_SLOW
def test_what_is_being_extended_cannot_be_deleted_and_loses_nothing(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path)
    job_id = _post(http, _new(1), first, tmp_path).json()["job_id"]
    refused = http.delete(f"/jobs/{first}")
    assert (refused.status_code, refused.json()["slug"]) == (409, "job-in-use")
    settings = line.platform.settings.model_copy(update={"orphan_hours": 0.0})
    forgetful = replace(line.platform, settings=settings)
    with line.platform.db.transaction() as session:  # as after three lost attempts
        session.execute(update(JobRow).where(JobRow.id == job_id).values(state="failed"))
    assert delete_orphans(forgetful) == []
    retry_job(line.platform, job_id)
    prepare_job(worker, job_id)
    assert line.job(job_id).state == "ready", line.job(job_id).problem
    assert http.delete(f"/jobs/{first}").status_code in (200, 204)


@POSTGRES_IS_SLOW
def test_what_an_extension_is_made_of_is_counted_until_its_zip_is_stored_and_then_deleted(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path)
    job_id = _post(http, _new(1), first, tmp_path).json()["job_id"]
    [key] = _uploads(line, job_id)
    sent = tmp_path / "sent.zip"
    size = line.platform.store.fetch(key, sent).bytes
    path = http.get(f"/dataset/images/{first}", params={"split": "train"}).json()["items"][0]["path"]
    fix = {"author": "ada", "corrections": [{"image": path, "remove": True}]}
    assert http.post(f"/datasets/{first}/corrections", json=fix).is_success
    corrected = http.post(f"/datasets/{first}/corrections/apply").json()["job_id"]
    [changes] = _uploads(line, corrected)
    assert _inputs(http) == (2, size + line.platform.store.fetch(changes, tmp_path / "changes.json").bytes)

    prepare_job(worker, job_id)
    prepare_job(worker, corrected)
    for each in (job_id, corrected):
        job = line.job(each)
        assert (job.state, _uploads(line, each)) == ("ready", [job.source_key]), job.problem
    assert _inputs(http) == (0, 0)
    source = http.get(f"/jobs/{job_id}").json()["source"]
    assert source["extension"]["additions"]["bytes"] == size and "written" not in source["extension"]

    line.platform.store.put(key, sent)  # as a worker leaves it that is killed once the row names the ZIP
    settings = line.platform.settings.model_copy(update={"orphan_hours": 0.0})
    assert delete_orphans(replace(line.platform, settings=settings)) == [key]
    with line.platform.db.transaction() as session:  # of an attempt that failed, and was kept for its days
        session.execute(update(JobRow).where(JobRow.id == job_id).values(state="failed", source_key=None))
    assert _inputs(http) == (0, 0)
    detail = problem(http.post(f"/jobs/{job_id}/retry"), 409, "job-not-retryable")["detail"]
    assert "ZIP is no longer stored" in detail


@POSTGRES_IS_SLOW
def test_an_extension_that_failed_does_not_keep_its_parent(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path)
    failed, made, waiting = (_post(http, _new(number), first, tmp_path).json()["job_id"] for number in (1, 2, 3))
    prepare_job(worker, made)
    with line.platform.db.transaction() as session:  # as after three lost attempts
        session.execute(update(JobRow).where(JobRow.id.in_((failed, made))).values(state="failed"))
    refused = problem(http.delete(f"/jobs/{first}"), 409, "job-in-use")
    assert (refused["extensions"], waiting in refused["detail"]) == ([waiting], True)
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == waiting).values(state="preparing"))
    assert problem(http.delete(f"/jobs/{first}"), 409, "job-in-use")["extensions"] == [waiting]
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == waiting).values(state="rejected"))
    assert http.delete(f"/jobs/{first}").status_code == 200
    detail = problem(http.post(f"/jobs/{failed}/retry"), 409, "job-not-retryable")["detail"]
    assert "balls/d1, which it extends, was deleted" in detail
    assert http.post(f"/jobs/{made}/retry").status_code == 202, "its ZIP is stored: it needs its parent no more"
    prepare_job(worker, made)
    assert line.job(made).state == "ready", line.job(made).problem


@POSTGRES_IS_SLOW
def test_additions_with_errors_reject_the_extension_with_their_findings(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path)
    more = _new(1) | {"n2.jpg": b"no image"} | {"n2.xml": annotation("n2.jpg", [("ball", 1, 1, 9, 9)])}
    job_id = _post(http, more, first, tmp_path).json()["job_id"]
    prepare_job(worker, job_id)
    job = http.get(f"/jobs/{job_id}").json()
    assert job["state"] == "rejected" and "image-unreadable" in job["findings"]
    assert _uploads(line, job_id) == [], "it cannot be retried"
    assert http.delete(f"/jobs/{first}").status_code in (200, 204)


def test_a_parent_that_is_another_one_in_the_store_is_not_extended(
    line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path
) -> None:
    first = _first(line, worker, tmp_path)
    job_id = _post(http, _new(1), first, tmp_path).json()["job_id"]
    key = str(line.job(first).source_key)
    line.platform.store.delete_prefix(key)
    line.platform.store.put(key, zip_files(tmp_path / "other.zip", voc_files(images=16) | _new(2)))
    prepare_job(worker, job_id)
    problem: dict[str, Any] = line.job(job_id).problem or {}
    assert (line.job(job_id).state, problem["slug"], problem["key"]) == ("failed", "preparation-failed", key)


@pytest.mark.slow
@pytest.mark.usefixtures("new_interpreters")
def test_an_extension_whose_child_is_killed_is_done_again(line: Stack, http: httpx.Client, tmp_path: Path) -> None:
    worker = Worker(line.platform, "prepare", "test")
    first = _first(line, worker, tmp_path)
    job_id = _post(http, _new(1), first, tmp_path).json()["job_id"]
    attempts = scratch_root(line.settings)
    for there in (f"{job_id}-1", f"{job_id}-2/out"):  # as it begins, and once it prepares the ZIP that it has written
        task = threading.Thread(target=prepare_job, args=(worker, job_id))
        task.start()
        line.until(lambda there=there: ((attempts / there).exists() and _kill_child("extend")) or None)
        task.join(60)
        assert line.job(job_id).state == "received"
    prepare_job(worker, job_id)
    job = line.job(job_id)
    assert (job.state, job.attempt, job.images) == ("ready", 3, 17), job.problem


@pytest.mark.slow
def test_an_extension_whose_worker_is_killed_is_done_again(line: Stack, http: httpx.Client, tmp_path: Path) -> None:
    first = _first(line, Worker(line.platform, "prepare", "test"), tmp_path)
    more = {name: content for number in range(200) for name, content in _new(number).items()}
    job_id = _post(http, more, first, tmp_path).json()["job_id"]
    process = line.start("prepare")
    line.until(lambda: line.job(job_id).stage in ("merging", "writing", "reading") or None)
    process.kill()
    process.wait()
    with line.platform.db.transaction() as session:  # the lease would expire by itself
        session.execute(update(JobRow).where(JobRow.id == job_id).values(lease_expires_at=1.0))
    line.start("prepare")
    line.start("housekeeping")
    line.until(lambda: line.job(job_id).state == "ready" or None)
    with line.platform.db.reading() as session:
        assert session.execute(select(JobRow.images).where(JobRow.id == job_id)).scalar_one() == 216


def _uploads(line: Stack, job_id: str) -> list[str]:
    return [key for key, _ in line.platform.store.list_prefix(f"uploads/{job_id}/")]


def _inputs(http: httpx.Client) -> tuple[int, int]:
    """(count, bytes) of what extensions are still to be made of."""
    stored = http.get("/projects/balls/storage").json()["stored"]
    return next((each["count"], each["bytes"]) for each in stored if each["kind"] == "extension_inputs")


def _kill_child(command: str) -> bool | None:
    if (child := supervised_child(command)) is None:
        return None
    with suppress(psutil.NoSuchProcess):  # it ends meanwhile
        child.send_signal(signal.SIGKILL)
        return True
    return None
