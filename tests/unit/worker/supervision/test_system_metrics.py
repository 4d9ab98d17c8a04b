"""Samples of a process group, and the evidence for the out-of-memory killer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from worker.supervision import oom as memory
from worker.supervision import system_metrics
from worker.supervision.oom import MemoryWatch
from worker.supervision.system_metrics import GroupSampler, memory_of

BUSY = """
import subprocess, sys
block = bytearray(50_000_000)
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
while True: pass
"""


def test_a_sample_is_of_the_whole_group() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
    try:
        sampler = GroupSampler(process.pid)
        wait_until(
            lambda: (sample := sampler.sample())["memory_bytes"] > 50_000_000 and sample["cpu_percent"] > 5,
            seconds=10,
            what="a sample of a group that is busy and holds 50 MB",
        )
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert sampler.sample() == {}


SHARING = """
import multiprocessing, sys, time
block = bytearray(b"x") * 200_000_000
children = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)) for _ in range(3)]
for child in children:
    child.start()
print("shared", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's proportional set sizes")
def test_memory_that_a_group_shares_counts_once() -> None:
    """As a loader's workers share what their trainer holds: four processes with 200 MB, and 200 MB in all."""
    process = subprocess.Popen([sys.executable, "-c", SHARING], start_new_session=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline() == b"shared\n"
        together = GroupSampler(process.pid).sample()["memory_bytes"]
        assert 200e6 < together < 350e6
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_where_the_kernel_does_not_report_it_the_resident_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_metrics, "ROLLUP", "/proc/{pid}/no_such_file")
    own = psutil.Process()
    assert memory_of(own) == pytest.approx(own.memory_info().rss, rel=0.1)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group's folder, as cgroup v2 shows it."""
    monkeypatch.setattr(memory, "_folders", lambda: [tmp_path])
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 2\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    return tmp_path


def test_a_kill_by_the_kernel_is_distinguished_from_one_by_a_person(group: Path) -> None:
    watch = MemoryWatch()
    watch.note(500_000)
    assert not watch.ran_out()

    (group / "memory.events").write_text("low 0\noom 1\noom_kill 3\n")
    assert watch.ran_out()


def test_a_child_last_seen_at_its_limit_ran_out_of_memory(group: Path) -> None:
    watch = MemoryWatch()
    watch.note(950_000)
    assert watch.ran_out()
