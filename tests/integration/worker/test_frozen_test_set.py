"""A frozen test set, by real children: its images are left out of what is prepared afterwards, named one by one."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from core import clock
from core.db.tables import FindingRow, OperationRow, RunRow
from core.domain.errors import TestSetNotFound
from core.domain.keys import frozen_list_key
from core.services.models.test_sets import end_freeze, freeze, get_test_set
from core.services.projects.test_sets import TestSetChanged
from core.services.runs.lifecycle import CheckedLeak
from core.services.views import prepared_set_of
from core.services.work.leases import claim_row
from pipeline.index.read import read_contents
from pipeline.process.specs import ChildSpec
from tests import REPOSITORY
from tests.builders import rows
from tests.builders.textures import cropped, jpeg, saved_again, scaled, texture, with_boxes
from tests.builders.voc import zip_files
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem, serving
from tests.servers.workers import Stack, child_of, stack
from worker.context import Worker
from worker.supervision.launcher import SupervisedProcess
from worker.supervision.local_launcher import LocalLauncher
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job
from worker.tasks.retention import delete_orphans
from worker.tasks.train import train_run

KILLED_BEFORE_PUBLISHING = """
import os, signal, sys
import worker.tasks.operations.freeze as freeze
from core.settings import load_settings
from worker.context import open_worker
from worker.tasks.operations.operate import operate

freeze.publish_test_set = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
operate(open_worker(load_settings(), "operations"), sys.argv[1])
"""
FIRST = {f"a{seed:02d}": jpeg(texture(seed)) for seed in range(50)}
PLANTED = {"p7": saved_again, "p8": scaled, "p9": cropped}


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def client(line: Stack) -> Iterator[httpx.Client]:
    with serving(line.platform) as made:
        yield made


@POSTGRES_IS_SLOW
def test_planted_test_images_are_named_and_left_out(line: Stack, client: httpx.Client, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    _freeze(line, client, first)
    frozen = client.get("/projects/yard/test-set").json()
    assert (frozen["generation"], frozen["dataset"], frozen["images"], frozen["removed_at"]) == (1, "yard/d1", 10, None)
    assert client.put("/projects/yard/test-set", json={"job_id": "d1"}).json() == frozen

    held_out = [path.removesuffix(".jpg") for path in sorted(_paths(line, first, "test"))]
    planted = {f"p{n}": PLANTED.get(f"p{n}", bytes)(FIRST[name]) for n, name in enumerate(held_out)}
    other = {f"b{seed}": jpeg(texture(seed)) for seed in range(100, 130)}
    archive = zip_files(tmp_path / "second.zip", with_boxes({**other, **planted}))
    second = _prepared(line, tmp_path, archive=archive)

    named = {(path, detail.split(" of the frozen")[0].rsplit(" ", 1)[-1]) for path, detail in _left_out(line, second)}
    assert named == {(f"images/p{n}.jpg", f"{name}.jpg") for n, name in enumerate(held_out)}
    assert line.job(second).exclusions == {"generation": 1, "sha256": frozen["sha256"], "images": 10}
    assert client.get(f"/jobs/{second}").json()["exclusions"]["images"] == 10
    assert _paths(line, second) == {f"{name}.jpg" for name in other}
    metadata = client.get(f"/dataset/metadata/{second}").json()
    assert (metadata["exclusions"], metadata["images"]["left_out"]) == (line.job(second).exclusions, 10)

    listed = tmp_path / "list.json"
    listed.write_bytes(client.get("/projects/yard/test-set/1/images").content)
    assert _offline(archive, "--exclude", str(listed)) == line.job(second).fingerprint != _offline(archive)


@POSTGRES_IS_SLOW
def test_training_on_test_images_is_refused_unless_allowed(line: Stack, client: httpx.Client, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    held_out = [path.removesuffix(".jpg") for path in sorted(_paths(line, first, "test"))]
    shared = {f"s{n}": PLANTED.get(f"p{n}", bytes)(FIRST[name]) for n, name in enumerate(held_out)}
    older = _prepared(line, tmp_path, with_boxes(_more(5) | shared), test="0")
    _freeze(line, client, first)

    refused = problem(client.post(f"/train-async/{older}"), 409, "trains-on-test-set")
    assert (refused["images"], refused["train"] + refused["val"], refused["generation"]) == (10, 10, 1)
    named = {(each["path"], each["test_image"]) for each in refused["examples"]}
    assert named == {(f"s{n}.jpg", f"{name}.jpg") for n, name in enumerate(held_out)}
    assert client.post(f"/train-async/{first}").status_code == 202

    allowed = client.post(f"/train-async/{older}", json={"allow_leak": True}).json()["run_id"]
    leak = client.get(f"/runs/{allowed}").json()["leak"]
    assert leak == {name: refused[name] for name in leak}
    claimed = claim_row(line.platform.db, RunRow, allowed, "test", lease_seconds=60)
    assert claimed is not None
    version = rows.publish(line.platform, claimed[0])
    assert client.get(f"/models/yard/v{version.number}").json()["leak"] == leak
    tuned = client.post(f"/train-async/{first}", json={"params": {"model": "v1"}})
    assert problem(tuned, 409, "trains-on-test-set")["examples"][0]["dataset"] == "yard/d2"


@POSTGRES_IS_SLOW
@pytest.mark.slow
def test_a_run_that_was_queued_before_the_freeze_is_compared_with_it(
    line: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    older = _prepared(line, tmp_path, with_boxes(_more(5) | FIRST), test="0")
    early, trained = (client.post(f"/train-async/{older}").json()["run_id"] for _ in range(2))
    claimed = claim_row(line.platform.db, RunRow, trained, "test", lease_seconds=60)
    assert claimed is not None
    _freeze(line, client, first)

    train_run(Worker(line.platform, "train", "test"), early)
    run = client.get(f"/runs/{early}").json()
    assert (run["state"], run["problem"]["slug"]) == ("failed", "trains-on-test-set")
    assert "10 images of train or val match the frozen test set (generation 1)" in run["problem"]["detail"]

    with pytest.raises(TestSetChanged):
        rows.publish(line.platform, claimed[0], checked=CheckedLeak(None, None))
    leak = {"generation": 1, "images": 10, "train": 10, "val": 0, "examples": []}
    version = rows.publish(line.platform, claimed[0], checked=CheckedLeak(1, leak))
    assert version.leak == line.run(trained).leak == leak


@pytest.mark.slow
def test_the_frozen_dataset_stays_until_the_freeze_ends(line: Stack, client: httpx.Client, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    other = _prepared(line, tmp_path, with_boxes({f"c{n}": jpeg(texture(200 + n)) for n in range(20)}))
    untested = _prepared(line, tmp_path, with_boxes({f"d{n}": jpeg(texture(300 + n)) for n in range(9)}), test="0")
    elsewhere = line.upload(zip_files(tmp_path / "else.zip", with_boxes(FIRST)), project="elsewhere")
    problem(client.get("/projects/yard/test-set"), 404, "test-set-not-found")
    problem(client.delete("/projects/yard/test-set"), 404, "test-set-not-found")
    problem(client.put("/projects/yard/test-set", json={"job_id": untested}), 409, "no-test-split")
    problem(client.put("/projects/yard/test-set", json={"job_id": elsewhere}), 409, "dataset-elsewhere")
    problem(client.put("/projects/elsewhere/test-set", json={"job_id": elsewhere}), 409, "job-not-ready")

    _freeze(line, client, first)
    assert problem(client.delete(f"/jobs/{first}"), 409, "dataset-frozen")["generation"] == 1
    _freeze(line, client, other)
    assert client.delete(f"/jobs/{first}").status_code == 200
    pages = [client.get("/projects/yard/test-set/history", params={"limit": 1}).json()]
    pages.append(client.get("/projects/yard/test-set/history", params={"cursor": pages[0]["next_cursor"]}).json())
    history = [item for page in pages for item in page["items"]]
    assert [(each["generation"], each["dataset"], each["removed_at"] is None) for each in history] == [
        (2, "yard/d2", True),
        (1, "yard/d1", False),
    ]
    assert client.delete("/projects/yard/test-set").status_code == 204
    assert client.delete(f"/jobs/{other}").status_code == 200


@pytest.mark.slow
def test_a_dataset_that_is_prepared_during_a_freeze_begins_again(line: Stack, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    second = line.upload(zip_files(tmp_path / "more.zip", with_boxes(FIRST | _more(20))), project="yard")
    operation_id = _requested(line, first)

    class FrozenMeanwhile(LocalLauncher):
        def start(self, spec: ChildSpec, *, log: Path) -> SupervisedProcess:
            operate(Worker(line.platform, "operations", "other"), operation_id)
            return super().start(spec, log=log)

    prepare_job(Worker(line.platform, "prepare", "test", launcher=FrozenMeanwhile()), second)
    assert (line.job(second).state, line.job(second).fingerprint) == ("received", None)
    prepare_job(Worker(line.platform, "prepare", "test"), second)
    job = line.job(second)
    assert (job.state, job.exclusions and job.exclusions["images"], job.attempt) == ("ready", 10, 2)


@pytest.mark.slow
def test_a_freeze_is_published_once_though_its_child_and_its_worker_are_killed(
    tmp_path: Path, database_url: str
) -> None:
    with stack(tmp_path, database_url, "") as line:
        first = _prepared(line, tmp_path, with_boxes(FIRST))
        operation_id = _requested(line, first)
        line.start("housekeeping")
        killed = line.start("operations")
        line.until(partial(child_of, killed)).kill()
        line.until(lambda: line.operation(operation_id).attempt == 2 and child_of(killed))
        killed.kill()
        line.start("operations")

        row = line.ended_operation(operation_id)

        assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), line.logs()
        frozen = get_test_set(line.platform.db, "yard").row
        assert (frozen.generation, frozen.images, frozen.key) == (1, 10, frozen_list_key(operation_id, 3))
        assert [key for key, _ in line.platform.store.list_prefix("test_sets/")] == [frozen.key]


@pytest.mark.slow
def test_a_freeze_whose_worker_is_killed_before_it_publishes_leaves_one_list(line: Stack, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    operation_id = _requested(line, first)
    command = [sys.executable, "-c", KILLED_BEFORE_PUBLISHING, operation_id]
    killed = subprocess.run(command, cwd=REPOSITORY, env=line.environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    unnamed = line.platform.store.head(frozen_list_key(operation_id, 1))
    assert unnamed is not None, "it was put"
    with pytest.raises(TestSetNotFound):
        get_test_set(line.platform.db, "yard")
    with line.platform.db.transaction() as session:  # as the sweep does when the lease has expired
        row = session.get_one(OperationRow, operation_id)
        row.state, row.lease_expires_at = "queued", None

    operate(Worker(line.platform, "operations", "test"), operation_id)

    frozen = get_test_set(line.platform.db, "yard").row
    assert (frozen.generation, frozen.key, frozen.sha256) == (1, frozen_list_key(operation_id, 2), unnamed.sha256)
    forgetful = line.platform.settings.model_copy(update={"orphan_hours": 0.0})
    with line.platform.db.transaction() as session:
        session.get_one(OperationRow, operation_id).purged_at = clock.now()  # as housekeeping does to an ended one
    assert delete_orphans(replace(line.platform, settings=forgetful)) == [unnamed.key]


@pytest.mark.slow
def test_an_extension_of_the_frozen_dataset_keeps_its_test_images(line: Stack, tmp_path: Path) -> None:
    first = _prepared(line, tmp_path, with_boxes(FIRST))
    operate(Worker(line.platform, "operations", "test"), _requested(line, first))
    held_out = _paths(line, first, "test")
    sets = {"val": _paths(line, first, "val"), "test": held_out}
    original = FIRST[sorted(held_out)[0].removesuffix(".jpg")]
    sets["test"] = held_out | {"again.jpg", "again.xml"}  # as an extension would place it
    files = with_boxes(FIRST | {"copy": cropped(original), "again": saved_again(original)} | _more(5))
    given = {
        name.replace("images/", f"images/{split}/"): content
        for name, content in files.items()
        for split in [next((s for s, paths in sets.items() if name.removeprefix("images/") in paths), "train")]
    }
    archive = zip_files(tmp_path / "given.zip", given)
    plain = _prepared(line, tmp_path, archive=archive)
    assert (len(_left_out(line, plain)), _paths(line, plain, "test")) == (12, set())

    extension = line.upload(archive, project="yard")
    with line.platform.db.transaction() as session:
        session.merge(line.job(extension)).parent_job_id = first
    prepare_job(Worker(line.platform, "prepare", "test"), extension)
    assert line.job(extension).state == "ready", line.job(extension).problem
    assert {path.rpartition("/")[2] for path in _paths(line, extension, "test")} == held_out
    assert [path for path, _ in _left_out(line, extension)] == ["images/test/again.jpg", "images/train/copy.jpg"]
    end_freeze(line.platform.db, "yard")


def _more(count: int) -> dict[str, bytes]:
    return {f"m{seed}": jpeg(texture(400 + seed)) for seed in range(count)}


def _prepared(
    line: Stack, folder: Path, files: dict[str, bytes] | None = None, *, archive: Path | None = None, test: str = "0.2"
) -> str:
    archive = archive or zip_files(folder / "data.zip", files or {})
    job_id = line.upload(archive, project="yard", test_fraction=test)
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    assert line.job(job_id).state == "ready", line.job(job_id).problem
    return job_id


def _requested(line: Stack, job_id: str) -> str:
    operation = freeze(line.platform, "yard", job_id).operation
    assert operation is not None
    return operation.id


def _freeze(line: Stack, client: httpx.Client, job_id: str) -> None:
    answer = client.put("/projects/yard/test-set", json={"job_id": job_id})
    assert answer.status_code == 202, answer.text
    again = client.put("/projects/yard/test-set", json={"job_id": job_id})
    assert again.json()["operation_id"] == answer.json()["operation_id"]
    operate(Worker(line.platform, "operations", "test"), answer.json()["operation_id"])
    assert get_test_set(line.platform.db, "yard").row.job_id == job_id


def _paths(line: Stack, job_id: str, split: str | None = None) -> set[str]:
    index = line.folder / f"{job_id}.sqlite"
    if not index.exists():
        _, dataset = prepared_set_of(line.platform.db, job_id)
        line.platform.store.fetch(str(dataset.index_key), index)
    return {each.path for each in read_contents(index) if split in (None, each.split)}


def _left_out(line: Stack, job_id: str) -> list[tuple[str, str]]:
    wanted = (FindingRow.job_id == job_id, FindingRow.code == "frozen-test-image")
    with line.platform.db.reading() as session:
        return [tuple(row) for row in session.execute(select(FindingRow.path, FindingRow.detail).where(*wanted))]


def _offline(archive: Path, *options: str) -> str:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "fingerprint",
        str(archive),
        "--test-fraction",
        "0.2",
        "--val-fraction",
        "0.25",
        *options,
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return str(json.loads(printed)["fingerprint"])
