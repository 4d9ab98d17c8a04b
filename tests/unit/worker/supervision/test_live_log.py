"""The end of a growing log: reported when it has grown, bounded in size, by a thread that nothing waits for."""

import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.domain.errors import Unavailable
from core.services.runs.logs import TAIL_BYTES
from core.services.work.leases import ClaimLost
from tests.waiting import wait_until
from worker.supervision import live_log
from worker.supervision.live_log import LiveLog


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_log, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(live_log, "REPORT_SECONDS", 0.05)


def test_the_end_of_a_log_is_reported_when_it_has_grown_and_repeated_while_the_database_is_away(tmp_path: Path) -> None:
    reported: list[tuple[bytes, int]] = []
    away = iter([True])

    def note(tail: bytes, total_bytes: int) -> None:
        if next(away, False):
            raise Unavailable
        reported.append((tail, total_bytes))

    path = tmp_path / "train.log"
    with LiveLog(path, note):
        assert not reported, "there is no file yet"
        path.write_bytes(b"epoch 1\n")
        wait_until(lambda: len(reported) == 1, seconds=5, what="the first report")
        with path.open("ab") as file:
            file.write(b"x" * (2 * TAIL_BYTES))
        wait_until(lambda: len(reported) == 2, seconds=5, what="the second report")
    assert reported[0] == (b"epoch 1\n", 8)
    assert reported[1] == (b"x" * TAIL_BYTES, 8 + 2 * TAIL_BYTES)


def test_a_lost_claim_is_one_warning_without_a_traceback(tmp_path: Path) -> None:
    calls: list[int] = []

    def note(_tail: bytes, total_bytes: int) -> None:
        calls.append(total_bytes)
        raise ClaimLost

    (tmp_path / "log").write_bytes(b"epoch 1\n")
    with capture_logs() as logged, LiveLog(tmp_path / "log", note):
        wait_until(lambda: bool(logged), seconds=5, what="the warning")
        with (tmp_path / "log").open("ab") as file:
            file.write(b"epoch 2\n")
        time.sleep(0.2)  # four times the pause between two reports
    assert calls == [8]
    assert [(each["event"], each["log_level"], "exc_info" in each) for each in logged] == [
        ("log.not_reported", "warning", False)
    ]


def test_a_database_that_hangs_keeps_no_attempt_from_ending(tmp_path: Path) -> None:
    called, answered = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        called.set()
        answered.wait(10)

    (tmp_path / "log").write_bytes(b"epoch 1\n")
    with LiveLog(tmp_path / "log", hang):
        assert called.wait(5)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    answered.set()
