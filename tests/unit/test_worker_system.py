"""Samples of a process group, and the evidence for the out-of-memory killer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker import memory
from worker.memory import MemoryWatch
from worker.system_metrics import GroupSampler

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
        time.sleep(0.5)
        sampler.sample()
        time.sleep(0.5)
        sample = sampler.sample()
        assert sample["memory_rss_bytes"] > 50_000_000
        assert sample["cpu_percent"] > 5
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert sampler.sample() == {}


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group's folder, as cgroup v2 shows it."""
    monkeypatch.setattr(memory, "_folders", lambda: [tmp_path])
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 2\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    return tmp_path


def test_a_kill_by_the_kernel_is_told_from_one_by_a_person(group: Path) -> None:
    watch = MemoryWatch()
    watch.note(500_000)
    assert not watch.ran_out()

    (group / "memory.events").write_text("low 0\noom 1\noom_kill 3\n")
    assert watch.ran_out()


def test_a_child_last_seen_at_its_limit_ran_out_of_memory(group: Path) -> None:
    watch = MemoryWatch()
    watch.note(950_000)
    assert watch.ran_out()
