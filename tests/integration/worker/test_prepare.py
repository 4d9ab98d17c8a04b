"""How a prepare task ends: ready, rejected, failed, lost, given back. The child is the real one."""

import errno
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import delete, select, update

from core.db.tables import DatasetRow, EventRow, JobRow
from core.domain.errors import StoreRefused, Unavailable
from core.domain.keys import PLOT_NAMES
from core.domain.limits import MAX_REFUSALS, MIB
from core.services.jobs.commands import list_findings, retry_job
from core.services.jobs.deletion import delete_job
from core.services.projects.commands import create_project
from tests.children import supervised_child
from tests.servers.workers import Stack, scenes, stack
from worker.context import Worker
from worker.supervision.local_launcher import LocalLauncher
from worker.tasks.prepare import prepare_job
from worker.tasks.retention import delete_unused_sets, purge_deleted_jobs


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Worker:
    return Worker(line.platform, "prepare", "test")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return scenes(tmp_path, count=10)


def while_preparing(line: Stack, worker: Worker, job_id: str, act: Callable[[psutil.Process], Any]) -> JobRow:
    """Run the task, and `act` on its child once it is there."""
    task = threading.Thread(target=prepare_job, args=(worker, job_id))
    task.start()
    act(line.until(supervised_child))
    task.join(30)
    assert not task.is_alive()
    with line.platform.db.reading() as session:
        return session.get_one(JobRow, job_id)


def scratch(line: Stack) -> list[Path]:
    return list((line.settings.temp / "attempts").iterdir())


@pytest.mark.usefixtures("new_interpreters")
def test_two_uploads_of_the_same_images_share_one_prepared_set(line: Stack, worker: Worker, archive: Path) -> None:
    jobs = [line.upload(archive) for _ in range(2)]
    for job_id in jobs:
        prepare_job(worker, job_id)

    first, second = (line.job(job_id) for job_id in jobs)
    assert first.state == second.state == "ready", (first.problem, second.problem)
    assert first.fingerprint == second.fingerprint and first.metadata_key != second.metadata_key
    assert len(list(line.platform.store.list_prefix("datasets/"))) == 2  # the tar and its image index
    assert ("writing" in stages(line, jobs[0]), "writing" in stages(line, jobs[1])) == (True, False)
    for job_id in jobs:  # what is the job's own is made for each
        kept = {key.removeprefix(f"jobs/{job_id}/1/") for key, _ in line.platform.store.list_prefix(f"jobs/{job_id}/")}
        assert kept == {"dataset_metadata.json", "samples.tar", *(f"plots/{name}.png" for name in PLOT_NAMES)}


@pytest.mark.slow
@pytest.mark.usefixtures("new_interpreters")
def test_a_set_deleted_while_the_same_images_are_prepared_is_written_again(
    line: Stack, worker: Worker, archive: Path
) -> None:
    first, second = (line.upload(archive) for _ in range(2))
    prepare_job(worker, first)
    delete_job(line.platform, first)

    def clean_meanwhile() -> None:
        purge_deleted_jobs(line.platform)
        delete_unused_sets(line.platform)

    while_preparing(line, worker, second, lambda _child: clean_meanwhile())
    job = line.job(second)
    if job.state == "received":  # its child was given the set as a live one
        assert job.enqueued_at is not None
        prepare_job(worker, second)
    assert line.job(second).state == "ready"
    assert len(list(line.platform.store.list_prefix("datasets/"))) == 2  # the tar and its image index


def stages(line: Stack, job_id: str) -> list[str]:
    with line.platform.db.reading() as session:
        events = session.execute(select(EventRow.data).where(EventRow.subject_id == job_id).order_by(EventRow.seq))
        return [data["stage"] for data in events.scalars() if data.get("stage")]


@pytest.mark.slow
def test_a_set_whose_row_was_never_committed_is_taken_over(line: Stack, worker: Worker, archive: Path) -> None:
    first, second = (line.upload(archive) for _ in range(2))
    prepare_job(worker, first)
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).values(fingerprint=None))
        session.execute(delete(DatasetRow))
    prepare_job(worker, second)

    assert line.job(second).state == "ready"
    keys = [key for key, _ in line.platform.store.list_prefix("datasets/")]
    with line.platform.db.reading() as session:
        row = session.execute(select(DatasetRow)).scalar_one()
    assert row.key == next(key for key in keys if key.endswith(".tar"))
    assert row.index_key in keys and len(keys) == 3  # that of the first is left to the sweep


def test_a_dataset_of_another_kind_than_its_project_keeps_its_findings(
    line: Stack, worker: Worker, archive: Path
) -> None:
    create_project(line.platform.db, "actions", kind="classification")
    job_id = line.upload(archive, project="actions")
    prepare_job(worker, job_id)
    job = line.job(job_id)
    assert job.state == "rejected" and job.problem is not None
    facts = {"project": "actions", "project_kind": "classification", "kind": "detection"}
    assert job.problem["slug"] == "project-kind-mismatch" and facts.items() <= job.problem.items()
    assert (job.kind, job.format, job.images, job.fingerprint) == ("detection", "voc", 10, None)
    found = list_findings(line.platform.db, job_id, cursor=None, limit=100).items
    assert sum(each["count"] for each in (job.findings or {}).values()) == len(found)
    assert list(line.platform.store.list_prefix("datasets/")) == [], "nothing is stored that nobody needs"


def test_a_rejected_dataset_keeps_its_problem_and_findings(line: Stack, worker: Worker, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as notes:
        notes.writestr("readme.txt", "no images here")
    job_id = line.upload(tmp_path / "notes.zip")
    prepare_job(worker, job_id)

    job = line.job(job_id)
    assert job.state == "rejected" and job.problem is not None
    assert job.problem["slug"] == "format-unknown"
    kept = list_findings(line.platform.db, job_id, cursor=None, limit=100).items
    assert len(kept) == sum(entry["count"] for entry in (job.findings or {}).values())
    assert scratch(line) == []


@pytest.mark.parametrize("loss", ["missing", "other bytes"])
def test_an_upload_that_the_store_lost_fails_the_job_and_is_not_tried_for_ever(
    line: Stack, worker: Worker, archive: Path, tmp_path: Path, loss: str
) -> None:
    job_id = line.upload(archive)
    key = str(line.job(job_id).source_key)
    line.platform.store.delete_prefix(key)
    if loss == "other bytes":
        line.platform.store.put(key, scenes(tmp_path, count=4, seed=9))
    prepare_job(worker, job_id)

    job = line.job(job_id)
    assert job.state == "failed" and job.problem is not None and job.problem["slug"] == "preparation-failed"


@pytest.mark.usefixtures("new_interpreters")
def test_a_job_deleted_while_it_is_prepared_ends_its_child(line: Stack, worker: Worker, archive: Path) -> None:
    job_id = line.upload(archive)
    began = time.monotonic()
    job = while_preparing(line, worker, job_id, lambda _child: delete_job(line.platform, job_id))

    assert job.state == "deleted" and time.monotonic() - began < 5
    assert scratch(line) == []


@pytest.mark.usefixtures("new_interpreters")
def test_a_killed_child_is_a_lost_attempt_and_the_third_fails_the_job(
    line: Stack, worker: Worker, archive: Path
) -> None:
    job_id = line.upload(archive)
    for lost in (1, 2, 3):
        job = while_preparing(line, worker, job_id, lambda child: child.send_signal(signal.SIGKILL))
        assert (job.lost_leases, job.state) == (lost, "failed" if lost == 3 else "received")
    assert job.problem is not None and job.problem["slug"] == "preparation-failed"


@pytest.mark.usefixtures("new_interpreters")
def test_a_worker_that_drains_gives_the_job_back(line: Stack, worker: Worker, archive: Path) -> None:
    job = while_preparing(line, worker, line.upload(archive), lambda _child: worker.draining.set())

    assert (job.state, job.lost_leases, job.enqueued_at) == ("received", 0, None)


def test_a_worker_whose_disk_is_full_fails_the_job_by_name(
    line: Stack, worker: Worker, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    job_id = line.upload(archive)
    monkeypatch.setattr("worker.tasks.attempt.fresh_folder", full)
    prepare_job(worker, job_id)

    job = line.job(job_id)
    assert job.state == "failed" and job.problem is not None and job.problem["slug"] == "no-space"


class CodeLauncher(LocalLauncher):
    """Runs some Python in place of `prepare`, under the limits of its spec."""

    def __init__(self, code: str) -> None:
        self._code = code

    def command(self, _name: str, spec_file: Path) -> list[str]:
        lines = (
            "import sys, time",
            "from pathlib import Path",
            "from pipeline.process.child import run_child",
            "from pipeline.process.specs import PrepareSpec",
            "spec = PrepareSpec.model_validate_json(Path(sys.argv[1]).read_bytes())",
            f"work = lambda _: {self._code}",
            "sys.exit(run_child(spec.out, work, supervised=True, memory_bytes=spec.memory_bytes))",
        )
        return [sys.executable, "-c", "\n".join(lines), str(spec_file)]


@pytest.mark.parametrize(
    ("code", "slug", "setting"),
    [
        ("bytearray(1_000 * spec.memory_bytes)", "prepare-out-of-memory", "DARKROOM_PREPARE_MEMORY_BYTES"),
        ("time.sleep(60)", "prepare-timed-out", "DARKROOM_PREPARE_SECONDS"),
    ],
)
def test_a_preparation_beyond_a_limit_fails_with_the_setting_that_raises_it(
    tmp_path: Path, sqlite_url: str, archive: Path, code: str, slug: str, setting: str
) -> None:
    with stack(tmp_path, sqlite_url, "", prepare_seconds=3.0, prepare_memory_bytes=512 * MIB) as line:
        job_id = line.upload(archive)
        prepare_job(Worker(line.platform, "prepare", "test", launcher=CodeLauncher(code)), job_id)
        job = line.job(job_id)
    problem = job.problem or {}
    assert (job.state, problem["slug"], problem["setting"], job.lost_leases) == ("failed", slug, setting, 0)
    assert setting in problem["detail"]


class Away:
    """A store that does not answer."""

    def lend(self, *_: Any) -> Any:
        raise Unavailable("The object store does not answer.")


def test_a_store_that_is_away_gives_the_job_back_for_later(line: Stack, worker: Worker, archive: Path) -> None:
    job_id = line.upload(archive)
    away: Any = Away()
    prepare_job(replace(worker, platform=replace(line.platform, store=away)), job_id)

    job = line.job(job_id)
    assert job.state == "received" and job.enqueued_at is not None, "the sweep enqueues it after a pause"
    prepare_job(worker, job_id)
    assert line.job(job_id).state == "ready"


class Refusing:
    """A store that answers, and refuses."""

    def lend(self, *_: Any) -> Any:
        raise StoreRefused(
            "The object store refuses this service: AccessDenied.", service="store", cause="AccessDenied"
        )


def test_a_store_that_refuses_is_tried_a_few_times_and_then_fails_the_job_by_name(
    line: Stack, worker: Worker, archive: Path
) -> None:
    job_id = line.upload(archive)
    refusing: Any = Refusing()
    refused = replace(worker, platform=replace(line.platform, store=refusing))
    for attempt in range(1, MAX_REFUSALS + 1):
        prepare_job(refused, job_id)
        job = line.job(job_id)
        assert (job.attempt, job.refusals, job.lost_leases) == (attempt, attempt, 0)
        assert job.state == ("failed" if attempt == MAX_REFUSALS else "received")
    assert job.problem is not None
    assert (job.problem["slug"], job.problem["cause"]) == ("store-refused", "AccessDenied")

    retry_job(line.platform, job_id)  # the policy is fixed
    prepare_job(worker, job_id)
    assert (line.job(job_id).state, line.job(job_id).refusals) == ("ready", 0)
