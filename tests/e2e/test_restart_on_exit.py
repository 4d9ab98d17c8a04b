"""The keeper of one Procfile line, as honcho and a person see it: by processes and signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Start]:
    """Start a keeper of a Python program that writes its pid, one a line, to `pids`."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, **env: str) -> subprocess.Popen[str]:
        pids_file = str(tmp_path / "pids")
        lines = f"import os, signal, subprocess, sys, time\nopen({pids_file!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.restart_on_exit", "--", sys.executable, "-c", lines + program],
            env={**os.environ, **env},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
    for process in started:
        while not _ended(process):  # one that was just being started may say its pid late
            for pid in pids(tmp_path) + pids(tmp_path, "children"):
                if not gone(pid):
                    os.kill(pid, signal.SIGKILL)


def _ended(process: subprocess.Popen[str]) -> bool:
    """With all that holds its output."""
    try:
        process.communicate(timeout=0.1)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_command_that_ends_is_started_again_with_growing_waits(keep: Start, tmp_path: Path) -> None:
    process = keep("sys.exit(3)")
    wait_for(lambda: len(pids(tmp_path)) == 3, seconds=10)
    process.terminate()
    _, said = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "ended with status 3" in said
    assert "starting again in 0.5 s" in said
    assert "starting again in 1 s" in said


def test_a_command_killed_with_sigkill_is_started_again(keep: Start, tmp_path: Path) -> None:
    keep("time.sleep(60)")
    first = wait_for_pid(tmp_path, 0)
    os.kill(first, signal.SIGKILL)
    assert wait_for_pid(tmp_path, 1) != first


def test_what_a_killed_command_leaves_in_its_group_is_gone_before_the_next_start(keep: Start, tmp_path: Path) -> None:
    keep(f"subprocess.Popen([sys.executable, '-c', {child_program(tmp_path)!r}]); time.sleep(60)")
    first = wait_for_pid(tmp_path, 0)
    child = wait_for_pid(tmp_path, 0, name="children")
    os.kill(first, signal.SIGKILL)
    wait_for_pid(tmp_path, 1)
    assert gone(child)


def test_sigterm_gives_the_command_time_to_finish(keep: Start, tmp_path: Path) -> None:
    done = tmp_path / "done"
    process = keep(
        f"signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), open({str(done)!r}, 'w').close(), os._exit(0)))\n"
        f"open({str(tmp_path / 'armed')!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    wait_for((tmp_path / "armed").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    assert done.exists()


def test_a_deaf_command_and_its_children_are_killed_after_the_grace(keep: Start, tmp_path: Path) -> None:
    process = keep(
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {child_program(tmp_path)!r}]); time.sleep(60)"
    )
    pid, child = wait_for_pid(tmp_path, 0), wait_for_pid(tmp_path, 0, name="children")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=12) == 0
    wait_for(lambda: gone(pid) and gone(child), seconds=2)


def test_the_command_ends_when_the_keeper_is_killed(keep: Start, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs PR_SET_PDEATHSIG; elsewhere the launcher's last sweep does it")
    process = keep("time.sleep(60)")
    pid = wait_for_pid(tmp_path, 0)
    process.kill()
    wait_for(lambda: gone(pid), seconds=2)


def test_keeper_and_command_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    command = f"import os, time; open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    starter = (
        "import subprocess, sys, time\n"
        f"command = [sys.executable, '-c', {command!r}]\n"
        "p = subprocess.Popen([sys.executable, '-m', 'deploy.local.restart_on_exit', '--', *command])\n"
        f"open({str(tmp_path / 'keeper')!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter])
    pid = wait_for_pid(tmp_path, 0)
    keeper = int((tmp_path / "keeper").read_text())
    parent.kill()
    parent.wait()
    wait_for(lambda: gone(pid) and gone(keeper), seconds=3)


def test_keeper_and_command_end_when_the_stack_s_process_is_killed(keep: Start, tmp_path: Path) -> None:
    stack = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = keep("time.sleep(60)", DARKROOM_STACK_PID=str(stack.pid))
    pid = wait_for_pid(tmp_path, 0)
    stack.kill()  # and not waited for: a zombie counts as gone
    assert process.wait(timeout=5) == 0
    assert gone(pid)
    stack.wait()


def child_program(tmp_path: Path) -> str:
    return (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(tmp_path / 'children')!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )


def pids(tmp_path: Path, name: str = "pids") -> list[int]:
    path = tmp_path / name
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for_pid(tmp_path: Path, index: int, name: str = "pids") -> int:
    wait_for(lambda: len(pids(tmp_path, name)) > index)
    return pids(tmp_path, name)[index]


def wait_for(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
