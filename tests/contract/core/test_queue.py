"""Both bells against one contract: a ring says whether it was sent, never raises, and never takes long."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.domain.errors import Unavailable
from core.queue import PREPARE, TRAIN, open_queue
from core.settings import Settings
from tests.servers import free_port
from tests.servers.valkey import Valkey

# A worker of the test's own tasks, on the application that the real worker uses.
WORKER = """
import logging, os, sys, time
from core.queue.app import make_celery, task_name
from core.settings import load_settings
logging.basicConfig(level=logging.INFO)
app = make_celery(load_settings())
def note(row_id):
    with open(os.environ["HEARD"], "a") as heard:
        heard.write(row_id + "\\n")
    time.sleep(float(os.environ["WORK_SECONDS"]))
for task in ("prepare", "train"):
    app.task(name=task_name(task))(note)
quiet = ["--without-gossip", "--without-mingle"]
app.worker_main(["worker", "-l", "INFO", "-Q", sys.argv[1], "--pool", "threads", "-c", "1", *quiet])
"""


@contextmanager
def worker(url: str, queue: str, heard: Path, *, work_seconds: float = 0.0) -> Iterator[None]:
    env = os.environ | {"DARKROOM_BROKER_URL": url, "HEARD": str(heard), "WORK_SECONDS": str(work_seconds)}
    log = heard.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", WORKER, queue], env=env, stdout=out, stderr=out)
    try:
        wait_for(lambda: "ready." in log.read_text(), seconds=20)
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(true: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.integration
def test_a_ring_reaches_the_worker_of_its_queue_and_no_other(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with (
        worker(private_valkey.url, TRAIN, tmp_path / "train"),
        worker(private_valkey.url, PREPARE, tmp_path / "prepare"),
    ):
        assert queue.enqueue(TRAIN, "run_1")
        assert queue.enqueue(PREPARE, "job_1")
        wait_for(lambda: lines(tmp_path / "train") == ["run_1"], seconds=5)
        wait_for(lambda: lines(tmp_path / "prepare") == ["job_1"], seconds=5)


@pytest.mark.integration
def test_a_busy_worker_leaves_the_next_message_to_an_idle_one(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with worker(private_valkey.url, TRAIN, tmp_path / "first", work_seconds=60):
        queue.enqueue(TRAIN, "run_1")
        wait_for(lambda: lines(tmp_path / "first") == ["run_1"], seconds=5)
        queue.enqueue(TRAIN, "run_2")
        time.sleep(1.5)  # longer than the worker's poll: time enough to take it, were it to
        with worker(private_valkey.url, TRAIN, tmp_path / "second"):
            wait_for(lambda: lines(tmp_path / "second") == ["run_2"], seconds=5)


@pytest.mark.integration
def test_a_ring_waits_for_a_worker_that_starts_later(private_valkey: Valkey, tmp_path: Path) -> None:
    assert open_queue(Settings(broker_url=private_valkey.url)).enqueue(TRAIN, "run_1")
    private_valkey.stop()
    private_valkey.start()
    with worker(private_valkey.url, TRAIN, tmp_path / "train"):
        wait_for(lambda: lines(tmp_path / "train") == ["run_1"], seconds=5)


@pytest.mark.integration
def test_a_ring_at_a_dead_broker_says_so_and_the_next_one_at_a_living_broker_is_sent(private_valkey: Valkey) -> None:
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
def test_a_worker_hears_again_once_its_broker_is_back(private_valkey: Valkey, tmp_path: Path) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    with worker(private_valkey.url, TRAIN, tmp_path / "train"):
        private_valkey.kill()
        time.sleep(1)
        private_valkey.start()
        assert queue.enqueue(TRAIN, "run_1")
        wait_for(lambda: lines(tmp_path / "train") == ["run_1"], seconds=15)


@pytest.mark.integration
def test_many_threads_may_ring_at_once(private_valkey: Valkey) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))

    with ThreadPoolExecutor(32) as pool:
        sent = list(pool.map(lambda number: queue.enqueue(TRAIN, f"run_{number}"), range(200)))

    assert all(sent)


@pytest.mark.integration
def test_a_ring_at_a_broker_that_hangs_ends_within_two_seconds(private_valkey: Valkey) -> None:
    queue = open_queue(Settings(broker_url=private_valkey.url))
    assert queue.enqueue(TRAIN, "run_1")

    with private_valkey.frozen():
        start = time.monotonic()
        assert not queue.enqueue(TRAIN, "run_2")
        assert time.monotonic() - start < 2

    assert queue.enqueue(TRAIN, "run_3")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis+socket:///no/such/socket?virtual_host=0"])
def test_a_ring_at_no_broker_says_so_at_once(url: str) -> None:
    queue = open_queue(Settings(broker_url=url.format(port=free_port())))

    start = time.monotonic()
    assert not queue.enqueue(TRAIN, "run_1")
    with pytest.raises(Unavailable):
        queue.ping()
    assert time.monotonic() - start < 2


def test_the_silent_bell_sends_nothing_and_is_always_well() -> None:
    queue = open_queue(Settings(broker_url=""))

    assert not queue.enqueue(TRAIN, "run_1")
    assert queue.ping() == 0.0
