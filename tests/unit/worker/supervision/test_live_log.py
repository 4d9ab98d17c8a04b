"""The end of a growing log: told when there is more, at most so much of it, and by no one who waits."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.domain.errors import Unavailable
from core.services.runs.logs import TAIL_BYTES
from worker.supervision import live_log
from worker.supervision.live_log import LiveLog


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_log, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(live_log, "TELL_SECONDS", 0.05)


def test_the_end_of_a_log_is_told_when_it_has_grown_and_again_while_the_database_is_away(tmp_path: Path) -> None:
    told: list[tuple[bytes, int]] = []
    away = iter([True])

    def note(tail: bytes, total_bytes: int) -> None:
        if next(away, False):
            raise Unavailable
        told.append((tail, total_bytes))

    path = tmp_path / "train.log"
    with LiveLog(path, note):
        time.sleep(0.1)  # there is no file yet
        path.write_bytes(b"epoch 1\n")
        _until(lambda: len(told) == 1)
        time.sleep(0.2)  # nothing new
        with path.open("ab") as file:
            file.write(b"x" * (2 * TAIL_BYTES))
        _until(lambda: len(told) == 2)
    assert told[0] == (b"epoch 1\n", 8)
    assert told[1] == (b"x" * TAIL_BYTES, 8 + 2 * TAIL_BYTES)


def test_a_database_that_hangs_keeps_no_attempt_from_ending(tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        asked.set()
        answered.wait(10)

    (tmp_path / "log").write_bytes(b"epoch 1\n")
    with LiveLog(tmp_path / "log", hang):
        assert asked.wait(5)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    answered.set()


def _until(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
