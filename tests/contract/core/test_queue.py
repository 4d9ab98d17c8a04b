"""Both queues against one contract: `enqueue` returns whether the message was sent, never raises, and is quick."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.domain.errors import Unavailable
from core.queue import PREPARE, TRAIN, open_queue
from core.settings import Settings
from tests.servers import free_port
from tests.servers.valkey import Valkey
from tests.waiting import wait_until

# A worker of the test's own tasks, on the application that the real worker uses.
WORKER = """
import logging, os, sys, time
from core.queue.app import make_celery, task_name
from core.settings import load_settings
logging.basicConfig(level=logging.INFO)
app = make_celery(load_settings())
def note(row_id):
    with open(os.environ["RECEIVED"], "a") as received_file:
        received_file.write(row_id + "\\n")
    time.sleep(float(os.environ["WORK_SECONDS"]))
for task in ("prepare", "train"):
    app.task(name=task_name(task))(note)
quiet = ["--without-gossip", "--without-mingle"]
app.worker_main(["worker", "-l", "INFO", "-Q", sys.argv[1], "--pool", "threads", "-c", "1", *quiet])
"""


@contextmanager
def worker(url: str, queue: str, received_file: Path, *, work_seconds: float = 0.0) -> Iterator[None]:
    env = os.environ | {"DARKROOM_BROKER_URL": url, "RECEIVED": str(received_file), "WORK_SECONDS": str(work_seconds)}
    log = received_file.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", WORKER, queue], env=env, stdout=out, stderr=out)
    try:
        wait_until(lambda: "ready." in log.read_text(), seconds=20, what=log.read_text)
        yield
    finally:
        process.kill()
        process.wait()


def wait_for_rows(received_file: Path, *row_ids: str, seconds: float = 5) -> None:
    """The worker whose tasks write to `received_file` gets exactly these ids, in this order."""

    def received() -> list[str]:
        return received_file.read_text().split() if received_file.exists() else []

    wait_until(lambda: received() == list(row_ids), seconds=seconds, what=lambda: f"{row_ids}, got {received()}")


@pytest.mark.integration
def test_a_message_reaches_the_worker_of_its_queue_and_no_other(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with (
        worker(private_valkey.url, TRAIN, tmp_path / "train"),
        worker(private_valkey.url, PREPARE, tmp_path / "prepare"),
    ):
        assert queue.enqueue(TRAIN, "run_1")
        assert queue.enqueue(PREPARE, "job_1")
        wait_for_rows(tmp_path / "train", "run_1")
        wait_for_rows(tmp_path / "prepare", "job_1")


@pytest.mark.integration
def test_a_busy_worker_leaves_the_next_message_to_an_idle_one(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with worker(private_valkey.url, TRAIN, tmp_path / "first", work_seconds=60):
        queue.enqueue(TRAIN, "run_1")
        wait_for_rows(tmp_path / "first", "run_1")
        queue.enqueue(TRAIN, "run_2")
        time.sleep(1.5)  # longer than a worker's poll: a worker that prefetches would take it now
        with worker(private_valkey.url, TRAIN, tmp_path / "second"):
            wait_for_rows(tmp_path / "second", "run_2")


@pytest.mark.integration
def test_a_message_waits_for_a_worker_that_starts_later(private_valkey: Valkey, tmp_path: Path) -> None:
    assert open_queue(Settings(broker_url=private_valkey.url)).enqueue(TRAIN, "run_1")
    private_valkey.stop()
    private_valkey.start()
    with worker(private_valkey.url, TRAIN, tmp_path / "train"):
        wait_for_rows(tmp_path / "train", "run_1")


@pytest.mark.integration
def test_enqueue_reports_a_broker_that_is_down_and_sends_again_once_it_is_back(private_valkey: Valkey) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    assert queue.enqueue(TRAIN, "run_1")
    assert 0 < queue.ping() < 1

    private_valkey.kill()
    start = time.monotonic()
    assert not queue.enqueue(TRAIN, "run_2")
    with pytest.raises(Unavailable):
        queue.ping()
    assert time.monotonic() - start < 2

    private_valkey.start()
    assert queue.enqueue(TRAIN, "run_3")


@pytest.mark.integration
def test_a_worker_receives_messages_again_once_its_broker_is_back(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with worker(private_valkey.url, TRAIN, tmp_path / "train"):
        private_valkey.kill()
        log = tmp_path / "train.log"
        wait_until(lambda: "Connection to broker lost" in log.read_text(), seconds=10, what=log.read_text)
        private_valkey.start()
        assert queue.enqueue(TRAIN, "run_1")
        wait_for_rows(tmp_path / "train", "run_1", seconds=15)


@pytest.mark.integration
def test_many_threads_may_enqueue_at_once(private_valkey: Valkey) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))

    with ThreadPoolExecutor(32) as pool:
        sent = list(pool.map(lambda number: queue.enqueue(TRAIN, f"run_{number}"), range(200)))

    assert all(sent)


@pytest.mark.integration
def test_enqueue_on_a_broker_that_hangs_returns_within_two_seconds(private_valkey: Valkey) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    assert queue.enqueue(TRAIN, "run_1")

    with private_valkey.frozen():
        start = time.monotonic()
        assert not queue.enqueue(TRAIN, "run_2")
        assert time.monotonic() - start < 2

    assert queue.enqueue(TRAIN, "run_3")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis+socket:///no/such/socket?virtual_host=0"])
def test_enqueue_without_a_broker_returns_false_at_once(url: str) -> None:
    queue = open_queue(Settings(broker_url=url.format(port=free_port())))

    start = time.monotonic()
    assert not queue.enqueue(TRAIN, "run_1")
    with pytest.raises(Unavailable):
        queue.ping()
    assert time.monotonic() - start < 2


def test_polling_only_sends_nothing_and_is_always_up() -> None:
    queue = open_queue(Settings(broker_url=""))

    assert not queue.enqueue(TRAIN, "run_1")
    assert queue.ping() == 0.0
