"""A train task with a store that is down or has lost an object, in one process with a scripted child."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

import worker.tasks.checkpoints
import worker.tasks.store_artifacts
from core.db.tables import RunRow
from core.domain.errors import DarkroomError, OutOfSpace, StoreRefused, Unavailable
from core.domain.limits import MAX_REFUSALS
from core.services.runs.commands import cancel_run
from core.services.work.events import events_after
from core.storage import ObjectStore, StoredObject
from pipeline.process.specs import ChildSpec, TrainSpec
from tests.builders.rows import versions_of
from tests.servers.scripted_worker import ScriptedLauncher
from tests.servers.workers import Stack, small_set, stack
from worker.context import Worker
from worker.supervision.launcher import SupervisedProcess
from worker.tasks.train import train_run


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(worker.tasks.store_artifacts, "PAUSES_SECONDS", (0.1, 0.1))
    with stack(tmp_path, sqlite_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def job_id(line: Stack, tmp_path: Path) -> str:
    return line.ready_job(small_set(tmp_path))


class Shaky:
    """A store that does not answer the first `times` calls for keys with `part` in them."""

    def __init__(self, store: ObjectStore, part: str, *, times: int, error: DarkroomError) -> None:
        self._store = store
        self._error = error
        self._part = part
        self._left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, path: Path, **more: Any) -> StoredObject:
        self._answer(key)
        return self._store.put(key, path, **more)

    def fetch(self, key: str, path: Path) -> StoredObject:
        self._answer(key)
        return self._store.fetch(key, path)

    def take(self, key: str, path: Path, **more: Any) -> StoredObject:
        self._answer(key)
        return self._store.take(key, path, **more)

    def lend(self, key: str, path: Path) -> StoredObject:
        self._answer(key)
        return self._store.lend(key, path)

    def _answer(self, key: str) -> None:
        if self._part in key and self._left:
            self._left -= 1
            raise self._error


AWAY = Unavailable("The object store does not answer.")


def worker_on(line: Stack, part: str = "", *, times: int = 0, error: DarkroomError = AWAY) -> Worker:
    shaky: Any = Shaky(line.platform.store, part, times=times, error=error)
    return Worker(replace(line.platform, store=shaky), "train", "test", ScriptedLauncher())


@pytest.mark.parametrize("part", ["checkpoints/", "artifacts/best.pt"])
def test_a_store_that_is_away_for_a_moment_costs_nothing(line: Stack, job_id: str, part: str) -> None:
    run_id = line.train(job_id)
    train_run(worker_on(line, part, times=2), run_id)

    run = line.run(run_id)
    assert (run.state, run.attempt) == ("succeeded", 1), run.problem
    assert len(versions_of(line.platform, job_id)) == 1


@pytest.mark.parametrize(("part", "waits"), [("checkpoints/", 0), ("artifacts/", 5)])
def test_a_full_disk_costs_no_training(
    line: Stack, job_id: str, monkeypatch: pytest.MonkeyPatch, part: str, waits: int
) -> None:
    monkeypatch.setattr(worker.tasks.store_artifacts, "RETRY_FULL_SECONDS", 0.05)
    monkeypatch.setattr(worker.tasks.checkpoints, "RETRY_SECONDS", 0.05)
    run_id = line.train(job_id, epochs=4)
    train_run(worker_on(line, part, times=5, error=OutOfSpace("The disk is full.")), run_id)

    run = line.run(run_id)
    assert (run.state, run.attempt, run.stage) == ("succeeded", 1, None), run.problem
    stages = [event.data["stage"] for event in events_after(line.platform.db, run_id, seq=0) if "stage" in event.data]
    assert stages.count("waiting-for-room") == waits


def test_a_training_that_meets_a_full_disk_goes_on_from_its_checkpoint(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, epochs=4, seed=16)
    train_run(worker_on(line), run_id)
    run = line.run(run_id)
    assert (run.state, run.attempt, run.lost_leases, run.problem) == ("queued", 1, 0, None)
    assert run.enqueued_at is not None, "it waits before the next attempt"
    assert run.checkpoint_epoch == 2

    train_run(worker_on(line), run_id)
    run = line.run(run_id)
    assert (run.state, run.attempt, run.refusals) == ("succeeded", 2, 0)
    epochs = [
        event.data["progress"]["epoch"]
        for event in events_after(line.platform.db, run_id, seq=0)
        if event.data.get("progress")
    ]
    assert epochs == [1, 2, 3, 4]


@pytest.mark.parametrize("part", ["datasets/", "artifacts/best.pt"])
def test_a_store_that_stays_away_gives_the_run_back_for_later(line: Stack, job_id: str, part: str) -> None:
    run_id = line.train(job_id)
    train_run(worker_on(line, part, times=99), run_id)

    run = line.run(run_id)
    assert (run.state, run.lost_leases) == ("queued", 0) and run.enqueued_at is not None
    train_run(worker_on(line), run_id)
    assert line.run(run_id).state == "succeeded"


def test_a_disk_that_stays_full_fails_the_run_by_name(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id)
    for _ in range(MAX_REFUSALS):
        train_run(worker_on(line, "datasets/", times=99, error=OutOfSpace("The disk is full.")), run_id)

    run = line.run(run_id)
    assert (run.state, run.attempt) == ("failed", MAX_REFUSALS) and run.problem is not None
    assert run.problem["slug"] == "no-space"


@pytest.mark.parametrize(("part", "attempts"), [("datasets/", MAX_REFUSALS), ("artifacts/best.pt", 1)])
def test_a_store_that_refuses_fails_the_run_by_name_and_trains_no_second_time_for_nothing(
    line: Stack, job_id: str, part: str, attempts: int
) -> None:
    run_id = line.train(job_id)
    refused = StoreRefused("The object store refuses this service: AccessDenied.", cause="AccessDenied")
    for _ in range(MAX_REFUSALS):
        train_run(worker_on(line, part, times=99, error=refused), run_id)

    run = line.run(run_id)
    assert (run.state, run.attempt) == ("failed", attempts) and run.problem is not None
    assert (run.problem["slug"], run.problem["cause"]) == ("store-refused", "AccessDenied")


def test_a_prepared_set_that_the_store_lost_fails_the_run(line: Stack, job_id: str) -> None:
    line.platform.store.delete_prefix("datasets/")
    run_id = line.train(job_id)
    train_run(worker_on(line), run_id)

    run = line.run(run_id)
    assert run.state == "failed" and run.problem is not None
    assert run.problem["slug"] == "training-failed" and "missing" in run.problem["detail"]


def test_a_child_that_leaves_no_model_fails_the_run_with_the_end_of_its_log(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, seed=15)
    train_run(worker_on(line), run_id)

    run = line.run(run_id)
    assert run.state == "failed" and run.problem is not None and run.problem["slug"] == "trainer-crashed"
    assert run.log_key is not None and line.platform.store.head(run.log_key) is not None


def test_weights_that_are_required_and_not_there_fail_the_run(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, pretrained="required")
    train_run(worker_on(line), run_id)

    run = line.run(run_id)
    assert run.problem is not None and run.problem["slug"] == "weights-unavailable"


def test_the_time_of_earlier_attempts_counts_towards_max_minutes(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, max_minutes=2)
    with line.platform.db.transaction() as session:
        session.execute(update(RunRow).values(spent_seconds=90.0))
    launcher = RecordingLauncher()
    train_run(replace(worker_on(line), launcher=launcher), run_id)

    assert [spec.seconds_left for spec in launcher.specs] == [30.0]
    assert 90.0 < line.run(run_id).spent_seconds < 120.0


class RecordingLauncher(ScriptedLauncher):
    def __init__(self) -> None:
        self.specs: list[TrainSpec] = []

    def start(self, spec: ChildSpec, *, log: Path) -> SupervisedProcess:
        assert isinstance(spec, TrainSpec)
        self.specs.append(spec)
        return super().start(spec, log=log)


def test_stages_and_progress_are_reported_in_order(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, epochs=2)
    with capture_logs() as logged:
        train_run(worker_on(line), run_id)

    lines = {line["event"]: line for line in logged}
    claimed, published = lines["run.claimed"], lines["run.published"]
    dataset = claimed["dataset"]
    assert dataset.endswith("/d1")
    assert (published["dataset"], published["version"]) == (dataset, dataset.replace("/d1", "/v1"))
    events = [event.data for event in events_after(line.platform.db, run_id, seq=0)]
    stages = [event["stage"] for event in events if event.get("stage")]
    assert stages == ["fetching", "training", "evaluating", "packing", "storing", "publishing"]
    assert [event["progress"]["epoch"] for event in events if event.get("progress")] == [1, 2]


def test_a_cancelled_run_keeps_its_log(line: Stack, job_id: str) -> None:
    run_id = line.train(job_id, epochs=60)
    canceller = threading.Thread(
        target=lambda: line.until(lambda: line.run(run_id).progress) and cancel_run(line.platform.db, run_id)
    )
    canceller.start()
    train_run(Worker(line.platform, "train", "test", ScriptedLauncher()), run_id)
    canceller.join()
    run = line.run(run_id)
    assert run.state == "cancelled"
    assert run.log_key is not None and line.platform.store.head(run.log_key) is not None
