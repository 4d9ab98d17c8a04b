"""Operations with real processes and scripted children: killed, cancelled, drained, lost, retried."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from core.services.context import Platform
from core.services.operations.commands import cancel_operation, get_operation, queue_operation, retry_operation
from core.services.work.events import events_after
from tests.databases import POSTGRES_IS_SLOW
from tests.integration.worker.test_crashes import freeze
from tests.servers.scripted_worker import ScriptedLauncher
from tests.servers.workers import Stack, child_of, stack
from worker.context import Worker
from worker.tasks.operations.catalogue import KINDS
from worker.tasks.operations.operate import operate

LONG = 600  # steps of 0.1 s


@pytest.fixture
def line(tmp_path: Path, database_url: str, valkey_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, valkey_url) as made:
        made.start("housekeeping")
        yield made


def wait_for_progress(line: Stack, operation_id: str, *, attempt: int = 1) -> None:
    def seen() -> bool:
        row = line.operation(operation_id)
        assert row.state != "failed", row.problem
        return row.attempt == attempt and bool(row.progress)

    line.until(seen)


@POSTGRES_IS_SLOW
@pytest.mark.slow
def test_a_worker_and_its_child_are_killed_and_another_ends_the_operation(line: Stack) -> None:
    first = line.start("operations", scripted=True)
    operation_id = line.operate(steps=15)
    wait_for_progress(line, operation_id)
    child = line.until(partial(child_of, first))
    first.kill()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running(), "the child ends with its supervisor"
    second = line.start("operations", scripted=True)
    wait_for_progress(line, operation_id, attempt=2)
    line.until(partial(child_of, second)).kill()

    row = line.ended_operation(operation_id)

    assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), line.logs()
    assert row.result == {"steps": 15, "attempt": 3}
    events = events_after(line.platform.db, operation_id, seq=0)
    assert [event.seq for event in events] == list(range(1, row.event_seq + 1))
    line.until(lambda: not list((line.settings.temp / "attempts").glob("*")))


@pytest.mark.slow
def test_a_frozen_worker_overwrites_nothing_and_a_drained_one_gives_back(
    tmp_path: Path, sqlite_url: str, valkey_url: str
) -> None:
    with stack(tmp_path, sqlite_url, valkey_url) as line:
        line.start("housekeeping")
        frozen = line.start("operations", scripted=True)
        operation_id = line.operate(steps=40)
        wait_for_progress(line, operation_id)
        line.until(partial(child_of, frozen)).suspend()  # it reports nothing
        freeze(line, frozen)
        line.until(lambda: line.operation(operation_id).state == "queued")
        drained = line.start("operations", scripted=True)
        wait_for_progress(line, operation_id, attempt=2)
        began = time.monotonic()
        drained.terminate()
        assert drained.wait(10) == 0 and time.monotonic() - began < 4.0
        row = line.operation(operation_id)
        assert (row.state, row.attempt, row.lost_leases) == ("queued", 2, 1), line.logs()
        line.start("operations", scripted=True)
        wait_for_progress(line, operation_id, attempt=3)
        frozen.send_signal(signal.SIGCONT)

        row = line.ended_operation(operation_id)

        assert (row.state, row.attempt, row.result) == ("succeeded", 3, {"steps": 40, "attempt": 3}), line.logs()
        line.until(lambda: "operation.lost" in line.logs() and child_of(frozen) is None)


@pytest.mark.slow
def test_a_child_that_fails_fails_its_operation_with_the_cause(
    tmp_path: Path, sqlite_url: str, valkey_url: str
) -> None:
    expected = {
        "killed": ("operation-failed", 3),
        "failed": ("weights-unavailable", 0),
        "crashed": ("operation-failed", 0),
        "full": ("operation-out-of-memory", 0),
    }
    with stack(tmp_path, sqlite_url, valkey_url) as line:
        ids = {ending: line.operate(steps=2, ending=ending) for ending in expected}
        of_tomorrow = queue_operation(line.platform, "of-tomorrow", {}).id  # as while a deployment replaces old workers
        line.start("housekeeping")
        line.start("operations", scripted=True)
        ended = {ending: line.ended_operation(operation_id) for ending, operation_id in ids.items()}
        unknown = line.ended_operation(of_tomorrow)
        retry_operation(line.platform, of_tomorrow)
        line.until(lambda: line.operation(of_tomorrow).attempt == 2 and line.ended_operation(of_tomorrow))
        logs = line.logs()
    found = {ending: ((row.problem or {}).get("slug"), row.lost_leases) for ending, row in ended.items()}
    assert found == expected, logs
    assert (ended["full"].problem or {})["setting"] == "DARKROOM_OPERATION_MEMORY_BYTES"
    assert {row.state for row in ended.values()} == {"failed"} and unknown.problem is not None
    assert (unknown.problem["slug"], unknown.problem["kind"]) == ("operation-failed", "of-tomorrow")


def test_a_cancel_ends_it_within_five_seconds_also_without_a_broker(tmp_path: Path, sqlite_url: str) -> None:
    with stack(tmp_path, sqlite_url, "") as line:
        worker = line.start("operations", scripted=True)
        for ending in ("ok", "deaf"):
            operation_id = line.operate(steps=LONG, ending=ending)
            wait_for_progress(line, operation_id)
            began = time.monotonic()
            assert cancel_operation(line.platform.db, operation_id).state == "cancelling"
            assert line.ended_operation(operation_id).state == "cancelled"
            assert time.monotonic() - began < 5.0, line.logs()
            assert child_of(worker) is None


def test_one_that_takes_too_long_fails_with_the_setting_that_allows_more(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "scripted", "tests.servers.scripted_operation")
    hurried = replace(platform, settings=platform.settings.model_copy(update={"operation_seconds": 0.5}))
    operation_id = queue_operation(hurried, "scripted", {"steps": LONG}).id
    operate(Worker(hurried, "operations", "test", ScriptedLauncher()), operation_id)
    row = get_operation(platform.db, operation_id)
    assert (row.state, row.lost_leases) == ("failed", 0) and row.problem is not None
    assert row.problem["slug"] == "operation-timed-out" and row.problem["setting"] == "DARKROOM_OPERATION_SECONDS"
