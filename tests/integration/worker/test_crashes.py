"""Kills at each point of a run, with real processes: one version, from the right attempt.

Except in the first test the children only pretend to train: the subject is the worker.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from core.domain.limits import MAX_LOST_LEASES
from core.services.models.versions import artifacts_of
from core.services.runs.commands import cancel_run, stop_run
from core.services.runs.logs import find_log
from core.services.work.events import events_after
from tests.builders.rows import versions_of
from tests.builders.warm_children import WarmChild
from tests.servers.api import serving
from tests.servers.valkey import Valkey
from tests.servers.workers import REPOSITORY, Stack, child_of, small_set, stack

KILLED_BEFORE_PUBLISHING = """
import os, signal, sys
import worker.tasks.train
from core.settings import load_settings
from tests.servers.scripted_worker import ScriptedLauncher
from worker.context import open_worker
from worker.supervision.local_launcher import LocalLauncher

LocalLauncher.command = ScriptedLauncher.command
worker.tasks.train.publish_version = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
worker.tasks.train.train_run(open_worker(load_settings(), "train"), sys.argv[1])
"""


@pytest.fixture
def unswept(tmp_path: Path, sqlite_url: str, valkey_url: str) -> Iterator[Stack]:
    """Without housekeeping: for what a worker does alone."""
    with stack(tmp_path, sqlite_url, valkey_url) as made:
        yield made


@pytest.fixture
def line(unswept: Stack) -> Stack:
    unswept.start("housekeeping")
    return unswept


@pytest.fixture
def job_id(unswept: Stack, tmp_path: Path) -> str:
    return unswept.ready_job(small_set(tmp_path))


def wait_for_checkpoint(line: Stack, run_id: str, *, after: int = 0) -> None:
    def seen() -> bool:
        run = line.run(run_id)
        assert run.state != "failed", run.problem
        return (run.checkpoint_epoch or 0) > after

    line.until(seen)


def wait_for_attempt(line: Stack, run_id: str, number: int) -> None:
    line.until(lambda: line.run(run_id).attempt == number)


def wait_for_heartbeat(line: Stack, run_id: str) -> None:
    before = line.run(run_id).lease_expires_at
    line.until(lambda: line.run(run_id).lease_expires_at != before)


def freeze(line: Stack, worker: WarmChild) -> None:
    """Between two of its transactions: frozen inside one, it would keep the lock of SQLite's only writer."""
    while True:
        worker.send_signal(signal.SIGSTOP)
        if can_write(line):
            return
        worker.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def can_write(line: Stack) -> bool:
    connection = sqlite3.connect(line.settings.database.removeprefix("sqlite:///"), timeout=0.3)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def epochs_reported(line: Stack, run_id: str) -> list[int]:
    events = events_after(line.platform.db, run_id, seq=0)
    return [event.data["progress"]["epoch"] for event in events if event.data.get("progress")]


def assert_one_version(line: Stack, job_id: str, *, attempt: int) -> None:
    versions = versions_of(line.platform, job_id)
    assert [(version.number, version.attempt) for version in versions] == [(1, attempt)], line.logs()
    for artifact in artifacts_of(line.platform.db, [versions[0].id])[versions[0].id]:
        stored = line.platform.store.head(artifact.key)
        assert stored is not None and stored.sha256 == artifact.sha256
        assert f"/{attempt}/artifacts/" in artifact.key


@pytest.mark.slow
def test_a_real_training_whose_worker_is_killed_goes_on_elsewhere_from_the_checkpoint(line: Stack, job_id: str) -> None:
    first = line.start("train")
    run_id = line.train(job_id, epochs=4)
    wait_for_checkpoint(line, run_id)
    line.until(lambda: find_log(line.platform.db, run_id))
    child = child_of(first)
    first.kill()
    assert child is not None
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running(), "the child ends with its supervisor"
    line.start("train")

    run = line.ended_run(run_id)

    assert (run.state, run.attempt, run.lost_leases) == ("succeeded", 2, 0), line.logs()
    assert_one_version(line, job_id, attempt=2)
    assert epochs_reported(line, run_id).count(1) == 1, "it did not start afresh"
    with serving(line.platform) as client:
        lost, whole = (client.get(f"/runs/{run_id}/log{query}") for query in ("?attempt=1", ""))
    assert "trainer.imported" in lost.text and lost.headers["x-log-part"] == "end", "what is left of the lost attempt"
    assert "Ultralytics" in whole.text and whole.headers["x-log-part"] == "whole"
    assert whole.headers["x-log-attempt"] == "2"


def test_a_killed_child_goes_on_from_the_checkpoint_as_a_lost_attempt(line: Stack, job_id: str) -> None:
    worker = line.start("train", scripted=True)
    run_id = line.train(job_id, epochs=20)
    wait_for_checkpoint(line, run_id)
    child = child_of(worker)
    assert child is not None
    child.kill()

    run = line.ended_run(run_id)

    assert (run.state, run.attempt, run.lost_leases) == ("succeeded", 2, 0), line.logs()
    assert_one_version(line, job_id, attempt=2)
    assert epochs_reported(line, run_id).count(1) == 1


@pytest.mark.slow
def test_a_child_that_is_killed_every_time_fails_the_run_with_its_log(line: Stack, job_id: str) -> None:
    line.start("train", scripted=True)
    run = line.ended_run(line.train(job_id, epochs=20, seed=14))

    assert (run.state, run.lost_leases) == ("failed", 3)
    assert run.problem is not None and run.problem["slug"] == "trainer-crashed"
    assert "signal 9" in run.problem["detail"] and "log_tail" in run.problem


@pytest.mark.slow
def test_a_worker_killed_between_put_and_publish_leaves_one_version_of_the_next_attempt(
    line: Stack, job_id: str
) -> None:
    run_id = line.train(job_id)
    command = [sys.executable, "-c", KILLED_BEFORE_PUBLISHING, run_id]
    killed = subprocess.run(command, cwd=REPOSITORY, env=line.environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert line.platform.store.head(f"runs/{run_id}/1/artifacts/best.pt") is not None, "it was put"
    assert versions_of(line.platform, job_id) == []
    line.start("train", scripted=True)

    assert line.ended_run(run_id).state == "succeeded"
    assert_one_version(line, job_id, attempt=2)


@pytest.mark.slow
def test_a_zombie_finishes_and_overwrites_nothing(line: Stack, job_id: str) -> None:
    zombie = line.start("train", scripted=True)
    run_id = line.train(job_id, epochs=45)
    wait_for_checkpoint(line, run_id)
    freeze(line, zombie)  # its child goes on, and will finish
    line.until(lambda: line.run(run_id).state == "queued")
    line.start("train", scripted=True)
    line.until(lambda: line.run(run_id).attempt == 2 and line.run(run_id).stage == "training")
    zombie.send_signal(signal.SIGCONT)  # in the middle of the second attempt

    run = line.ended_run(run_id)

    assert (run.state, run.attempt) == ("succeeded", 2), line.logs()
    assert_one_version(line, job_id, attempt=2)
    line.until(lambda: "run.lost" in line.logs())
    line.until(lambda: not list((line.settings.temp / "attempts").glob(f"{run_id}-1")))
    assert child_of(zombie) is None


@pytest.mark.slow
def test_a_frozen_worker_writes_nothing_after_it_was_thawed(tmp_path: Path, sqlite_url: str, valkey_url: str) -> None:
    """Without a sweep: the claim is nobody else's, and the frozen worker has given it up all the same."""
    with stack(tmp_path, sqlite_url, valkey_url, lease_seconds=3.0) as line:
        worker = line.start("train", scripted=True)
        run_id = line.train(line.ready_job(small_set(tmp_path)), epochs=5000)
        wait_for_checkpoint(line, run_id)
        line.until(partial(child_of, worker)).suspend()  # it reports nothing
        wait_for_heartbeat(line, run_id)  # the next one is half a second away
        freeze(line, worker)
        time.sleep(1.2 * line.settings.lease_seconds)
        frozen = line.run(run_id)
        worker.send_signal(signal.SIGCONT)
        line.until(lambda: "run.lost" in line.logs())
        time.sleep(3 * line.settings.heartbeat_seconds)

        thawed = line.run(run_id)

        assert child_of(worker) is None
        written = ("state", "attempt", "lease_expires_at", "spent_seconds", "checkpoint_epoch")
        assert [getattr(thawed, name) for name in written] == [getattr(frozen, name) for name in written]
        assert thawed.event_seq <= frozen.event_seq + 1, "a sample may have been on its way"


@pytest.mark.slow
def test_losses_with_new_checkpoints_between_them_do_not_add_up(line: Stack, job_id: str) -> None:
    worker = line.start("train", scripted=True)
    run_id = line.train(job_id, epochs=40)
    for lost in range(1, MAX_LOST_LEASES + 2):
        wait_for_checkpoint(line, run_id, after=line.run(run_id).checkpoint_epoch or 0)
        line.until(partial(child_of, worker)).kill()
        wait_for_attempt(line, run_id, lost + 1)

    run = line.ended_run(run_id)

    assert (run.state, run.attempt, run.lost_leases) == ("succeeded", MAX_LOST_LEASES + 2, 0), line.logs()
    assert epochs_reported(line, run_id).count(1) == 1


@pytest.mark.slow
def test_a_drained_worker_gives_the_run_back_within_four_seconds(line: Stack, job_id: str) -> None:
    worker = line.start("train", scripted=True)
    run_id = line.train(job_id, epochs=20)
    wait_for_checkpoint(line, run_id)
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(10) == 0
    assert time.monotonic() - began < 4.0
    run = line.run(run_id)
    assert (run.state, run.lost_leases) == ("queued", 0), line.logs()
    line.start("train", scripted=True)

    assert line.ended_run(run_id).state == "succeeded"
    assert_one_version(line, job_id, attempt=2)
    assert epochs_reported(line, run_id).count(1) == 1


@pytest.mark.parametrize("stage", ["training", pytest.param("evaluating", marks=pytest.mark.slow)])
@pytest.mark.parametrize("obedient", [True, False])
def test_a_cancel_ends_the_run_within_five_seconds(unswept: Stack, job_id: str, stage: str, obedient: bool) -> None:
    worker = unswept.start("train", scripted=True)
    run_id = unswept.train(job_id, epochs=3, seed=0 if obedient else 13)
    unswept.until(lambda: unswept.run(run_id).stage == stage)
    began = time.monotonic()
    cancelled = cancel_run(unswept.platform.db, run_id)
    assert cancelled.state == "cancelling"

    unswept.until(lambda: unswept.run(run_id).state == "cancelled", seconds=10)

    assert time.monotonic() - began < 5.0, unswept.logs()
    assert child_of(worker) is None
    assert versions_of(unswept.platform, job_id) == []


def test_a_stopped_run_publishes_the_best_so_far(unswept: Stack, job_id: str) -> None:
    unswept.start("train", scripted=True)
    run_id = unswept.train(job_id, epochs=5000)
    unswept.until(lambda: (unswept.run(run_id).progress or {}).get("epoch"))
    stop_run(unswept.platform.db, run_id)

    assert unswept.ended_run(run_id).state == "succeeded", unswept.logs()
    assert_one_version(unswept, job_id, attempt=1)


def test_a_worker_without_a_broker_finds_its_work_by_itself(tmp_path: Path, sqlite_url: str) -> None:
    with stack(tmp_path, sqlite_url, "") as line:
        line.start("train", scripted=True)
        job_id = line.ready_job(small_set(tmp_path))

        assert line.ended_run(line.train(job_id)).state == "succeeded", line.logs()


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back_costs_no_run(
    tmp_path: Path, sqlite_url: str, private_valkey: Valkey
) -> None:
    with stack(tmp_path, sqlite_url, private_valkey.url) as line:
        line.start("housekeeping")
        line.start("train", scripted=True)
        job_id = line.ready_job(small_set(tmp_path))
        first = line.train(job_id, epochs=10)
        wait_for_checkpoint(line, first)
        private_valkey.kill()
        second = line.train(job_id)  # this message is lost
        assert line.ended_run(first).state == "succeeded", line.logs()
        private_valkey.start()

        assert line.ended_run(second).state == "succeeded", line.logs()
        assert line.run(first).attempt == line.run(second).attempt == 1


@pytest.mark.parametrize("damage", ["missing", "other bytes"])
@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_read_starts_the_run_afresh_with_a_note(
    line: Stack, job_id: str, tmp_path: Path, damage: str
) -> None:
    worker = line.start("train", scripted=True)
    run_id = line.train(job_id, epochs=20)
    wait_for_checkpoint(line, run_id)
    worker.terminate()
    worker.wait(10)
    key = str(line.run(run_id).checkpoint_key)
    line.platform.store.delete_prefix(key)
    if damage == "other bytes":
        line.platform.store.put(key, small_set(tmp_path / "other"))
    line.start("train", scripted=True)

    run = line.ended_run(run_id)

    assert run.state == "succeeded", line.logs()
    assert run.notes is not None and "afresh" in run.notes["checkpoint"]
    assert epochs_reported(line, run_id).count(1) == 2
