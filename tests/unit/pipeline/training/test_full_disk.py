"""A training on a full disk: it waits or goes on, and loses nothing that it has learnt."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.process.child import PROGRESS_FILE, Channel, RunCancelled
from pipeline.process.disk_full import SPARE_BYTES
from pipeline.training import room
from pipeline.training.checkpoint import read_checkpoint
from pipeline.training.reporter import ChannelReporter
from tests.servers.small_disk import run_on_small_disk
from tests.waiting import wait_until


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    usage = SimpleNamespace(free=10**12)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    monkeypatch.setattr(room, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.01)
    return usage


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    with closing(Channel(tmp_path)) as opened:
        yield opened


def reporter_of(channel: Channel, out: Path) -> ChannelReporter:
    return ChannelReporter(channel, out=out, seconds_left=None, checkpoint_seconds=0.0, echo=False)


def test_a_checkpoint_without_room_is_noted_and_the_next_is_written(
    channel: Channel, tmp_path: Path, disk: SimpleNamespace
) -> None:
    weights, report = tmp_path / "last.pt", reporter_of(channel, tmp_path)
    weights.write_bytes(bytes(1000))
    disk.free = SPARE_BYTES + 999
    report.checkpoint(1, {"last.pt": weights}, ended=None)
    assert not (tmp_path / "checkpoints").exists()
    assert "the checkpoint of epoch 1 was not written" in (tmp_path / PROGRESS_FILE).read_text()

    disk.free = SPARE_BYTES + 1000
    report.checkpoint(2, {"last.pt": weights}, ended=None)
    assert read_checkpoint(tmp_path / "checkpoints" / "000002").epoch == 2


def test_a_training_waits_for_room_and_can_be_cancelled_while_it_waits(
    channel: Channel, tmp_path: Path, disk: SimpleNamespace
) -> None:
    report, disk.free = reporter_of(channel, tmp_path), SPARE_BYTES - 1
    ended: list[Any] = []

    def poll() -> None:
        try:
            ended.append(report.poll(have_model=True))
        except RunCancelled as cancelled:
            ended.append(type(cancelled))

    for expected in (None, RunCancelled):
        thread = threading.Thread(target=poll)
        thread.start()
        wait_until(lambda: "waits for room" in (tmp_path / PROGRESS_FILE).read_text(), seconds=5, what="the note")
        assert thread.is_alive() and ended == []
        if expected:
            channel.cancelled.set()
        else:
            disk.free = SPARE_BYTES
        thread.join(5)
        assert ended.pop() is expected
        disk.free = SPARE_BYTES - 1


REPORT_ON_A_FULL_DISK = """
import json, os, sys
from pathlib import Path
from pipeline.process.child import PROGRESS_FILE, Channel, run_child
from pipeline.process.disk_full import is_full_disk
from pipeline.training.checkpoint import write_checkpoint
disk = Path(sys.argv[1]) / "disk"
log = os.open(disk / "log", os.O_CREAT | os.O_WRONLY)
printed, _ = os.dup(1), os.dup2(log, 1)
def work(channel):
    weights = Path(sys.argv[1]) / "last.pt"
    weights.write_bytes(bytes(2 * 1024**2))
    other = (disk / "other").open("wb", buffering=0)
    try:
        while True:
            other.write(bytes(4096))
    except OSError:
        pass
    for epoch in range(100):
        print("epoch", epoch, "x" * 1000)
        channel.emit("epoch", epoch=epoch, text="x" * 1000)
    try:
        write_checkpoint(disk / "000001", {"last.pt": weights}, epoch=1, ended=None)
    except OSError as error:
        assert is_full_disk(error)
    assert not [path for path in disk.iterdir() if "000001" in path.name]
    other.close()
    (disk / "other").unlink()
    channel.emit("epoch", epoch=100)
from pipeline.process.printing import keep_printing
keep_printing()
status = run_child(disk, work, supervised=False)
epochs = [json.loads(line)["epoch"] for line in (disk / PROGRESS_FILE).read_text().splitlines()]
os.write(printed, f"{status} {epochs == list(range(101))}".encode())
"""


def test_reports_follow_once_the_disk_has_room_and_printing_costs_lines_only(tmp_path: Path) -> None:
    assert run_on_small_disk(tmp_path, REPORT_ON_A_FULL_DISK, megabytes=1) == "0 True"
