"""Supervising small real children: what is passed on, and the cause that each exit is given."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.domain.errors import Diverged, OutOfMemory, OutOfSpace, TrainerCrashed, Unavailable
from core.services.work.leases import ClaimLost, ClaimStatus
from core.settings import Settings
from core.storage.locked_files import LEFTOVER_SECONDS
from pipeline.process.specs import RepairSpec
from tests import REPOSITORY
from tests.waiting import wait_until
from worker.inputs.scratch import remove_dead_leftovers
from worker.supervision import supervisor
from worker.supervision.exit_causes import cause_of, killed_from_outside, log_tail
from worker.supervision.launcher import ProcessExit
from worker.supervision.lease_keeper import CancelRequested, LeaseKeeper
from worker.supervision.local_launcher import LocalLauncher, Tail
from worker.supervision.supervisor import supervise

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("pid", "w").write(str(grandchild.pid))
time.sleep(60)
"""


class Claimed:
    """A lease on a claim whose status the test sets."""

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self.mine = True
        self.lease = LeaseKeeper(
            lambda _: True,
            lambda: ClaimStatus(mine=self.mine, cancel=self.cancel.is_set(), stop=False),
            threading.Event(),
            lease_seconds=60,
            heartbeat_seconds=1,
        )


class CodeLauncher(LocalLauncher):
    """Runs some Python in place of a command."""

    def __init__(self, code: str) -> None:
        self._code = code

    def command(self, _name: str, _spec_file: Path) -> list[str]:
        return [sys.executable, "-c", self._code]


def run_code(
    out: Path,
    code: str,
    report: Any = lambda _line: None,
    claimed: Claimed | None = None,
    limit_seconds: float = 60.0,
) -> ProcessExit:
    spec = RepairSpec(archive=out / "none.zip", out=out, processes=1)
    with (claimed or Claimed()).lease as lease:
        launcher, log = CodeLauncher(code), out / "log"
        return supervise(lease, launcher, spec, log_path=log, report=report, limit_seconds=limit_seconds)


def test_what_a_killed_child_leaves_in_its_temporary_folder_is_removed(tmp_path: Path) -> None:
    code = "import os, signal, tempfile; open('where', 'w').write(tempfile.mkdtemp()); os.kill(0, signal.SIGKILL)"
    assert run_code(tmp_path, code).status == -signal.SIGKILL
    assert not Path((tmp_path / "where").read_text()).exists()


def test_reports_are_passed_on_in_order_and_repeated_while_the_database_is_away_or_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RETRY_REPORT_SECONDS", 0.2)
    reported: list[dict[str, Any]] = []
    refusals = iter([Unavailable, OutOfSpace])

    def report(line: dict[str, Any]) -> None:
        if refusal := next(refusals, None):
            raise refusal
        reported.append(line)

    code = "\n".join(
        [
            "f = open('progress.jsonl', 'w')",
            *(f"print('{{\"epoch\": {epoch}}}', file=f, flush=True)" for epoch in (1, 2, 3)),
            "f.write('{\"half')",
        ]
    )
    assert run_code(tmp_path, code, report).status == 0
    assert reported == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]


def test_a_stubborn_child_and_its_own_children_are_gone_after_a_cancel(tmp_path: Path) -> None:
    claimed = Claimed()
    threading.Timer(0.5, claimed.cancel.set).start()
    began = time.monotonic()
    with pytest.raises(CancelRequested):
        run_code(tmp_path, STUBBORN, claimed=claimed)
    assert time.monotonic() - began < 5.5
    grandchild = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _runs(grandchild), seconds=2, what="the end of a killed process")


def test_a_child_beyond_its_time_is_killed_with_its_own_children_and_is_no_lost_attempt(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run_code(tmp_path, STUBBORN, limit_seconds=1)
    assert ended.out_of_time and not killed_from_outside(ended) and time.monotonic() - began < 5
    grandchild = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _runs(grandchild), seconds=2, what="the end of a killed process")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits it")
def test_a_child_beyond_its_memory_says_so(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from pipeline.process.child import run_child
held = []
def work(channel):
    while True:
        held.append(bytearray(10_000_000))
raise SystemExit(run_child(Path(), work, supervised=False, memory_bytes=300_000_000))
"""
    ended = run_code(tmp_path, code)
    cause = cause_of(ended, tmp_path, tmp_path / "log")
    assert isinstance(cause, OutOfMemory) and not killed_from_outside(ended)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_lost_claim_kills_the_child_at_once(tmp_path: Path) -> None:
    claimed = Claimed()
    claimed.mine = False
    began = time.monotonic()
    with pytest.raises(ClaimLost):
        run_code(tmp_path, STUBBORN, claimed=claimed)
    assert time.monotonic() - began < 2


def test_a_loop_blocked_in_the_database_does_not_keep_the_child_of_a_lost_claim_alive(tmp_path: Path) -> None:
    claimed = Claimed()
    seen: list[bool] = []

    def blocked(_line: dict[str, Any]) -> None:
        grandchild = int((tmp_path / "pid").read_text())
        claimed.mine = False
        wait_until(lambda: not _runs(grandchild), seconds=10, what="the child is gone while the loop is blocked")
        seen.append(True)

    before, last, after = STUBBORN.rpartition("time.sleep(60)")
    code = before + "open('progress.jsonl', 'w').write('{}\\n')\n" + last + after
    with pytest.raises(ClaimLost):
        run_code(tmp_path, code, blocked, claimed)
    assert seen == [True]


def test_a_child_gets_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DARKROOM_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    run_code(tmp_path, "import json, os; json.dump(dict(os.environ), open('environment', 'w'))")

    assert "secret" not in json.loads((tmp_path / "environment").read_text()).values()


def test_every_ending_has_a_typed_cause_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 10_000 + "the last words")

    killed = ProcessExit(-signal.SIGKILL, out_of_memory=False)
    assert killed_from_outside(killed) and "signal 9" in cause_of(killed, tmp_path, log).detail
    ran_out = ProcessExit(-signal.SIGKILL, out_of_memory=True)
    assert not killed_from_outside(ran_out) and isinstance(cause_of(ran_out, tmp_path, log), OutOfMemory)
    for status in (-signal.SIGSEGV, 0, 1, 2):
        cause = cause_of(ProcessExit(status, out_of_memory=False), tmp_path, log)
        assert isinstance(cause, TrainerCrashed) and cause.facts["log_tail"].endswith("the last words")
        assert not killed_from_outside(ProcessExit(status, out_of_memory=False))
    assert len(log_tail(log)) == 4096

    (tmp_path / "problem.json").write_text(json.dumps({"slug": "diverged", "detail": "at epoch 3", "facts": {"e": 3}}))
    cause = cause_of(ProcessExit(1, out_of_memory=False), tmp_path, log)
    assert isinstance(cause, Diverged) and cause.facts == {"e": 3}


def test_a_tail_reads_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    assert tail.read() == []
    with path.open("a") as file:
        for piece, expected in (('{"a"', []), (": 1}\n[2]\nno json\n", [{"a": 1}]), ('{"b": 2}\n', [{"b": 2}])):
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            assert tail.read() == expected


SUPERVISE = """
import sys
from pathlib import Path
from tests.unit.worker.supervision.test_child import CodeLauncher, run_code
run_code(Path(sys.argv[1]), "import os, time; open('where', 'w').write(os.environ['TMPDIR']); time.sleep(60)")
"""


def test_the_temporary_folder_of_a_child_whose_supervisor_was_killed_is_removed(tmp_path: Path) -> None:
    settings, where = Settings(home=tmp_path), tmp_path / "where"
    with subprocess.Popen([sys.executable, "-c", SUPERVISE, str(tmp_path)], cwd=REPOSITORY) as supervisor:
        wait_until(lambda: where.exists() and where.read_text(), seconds=20, what="the child")
        folder = Path(where.read_text())
        old = time.time() - LEFTOVER_SECONDS - 1
        os.utime(folder, (old, old))
        assert folder not in remove_dead_leftovers(settings) and folder.exists(), "its supervisor is alive"
        supervisor.kill()

    assert folder in remove_dead_leftovers(settings) and not folder.exists()


def test_leftovers_of_a_moment_ago_stay(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.temp.mkdir()
    old, young = settings.temp / "upload-old.part", settings.temp / "upload-young.part"
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - LEFTOVER_SECONDS - 1,) * 2)

    assert old in remove_dead_leftovers(settings) and young.exists()
