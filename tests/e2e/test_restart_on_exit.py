"""The process supervisor of one Procfile entry, seen from outside: processes and signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

Start = Callable[..., subprocess.Popen[str]]
RUN_ON = "time.sleep(60)"  # the end of a program that runs until it is killed, and not for ever
# A supervisor whose grace is 2 s instead of 8.
IMPATIENT = "import sys; import deploy.local.restart_on_exit as it; it.GRACE_SECONDS = 2.0; sys.exit(it.main())"


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor of a Python program that appends its pid as a line to `pids`."""
    started: list[subprocess.Popen[str]] = []

    def start(
        program: str, supervisor: Sequence[str] = ("-m", "deploy.local.restart_on_exit"), **env: str
    ) -> subprocess.Popen[str]:
        pids_file = str(tmp_path / "pids")
        lines = f"import os, signal, subprocess, sys, time\nopen({pids_file!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        process = subprocess.Popen(
            [sys.executable, *supervisor, "--", sys.executable, "-c", lines + program],
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
        while not _ended(process):  # a program that was just being started may write its pid late
            for pid in pids(tmp_path) + pids(tmp_path, "children"):
                if not gone(pid):
                    os.kill(pid, signal.SIGKILL)


def _ended(process: subprocess.Popen[str]) -> bool:
    """The process has exited, and so has every process that inherited its stderr."""
    try:
        process.communicate(timeout=0.1)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_command_that_ends_is_started_again_with_growing_waits(supervise: Start, tmp_path: Path) -> None:
    process = supervise("sys.exit(3)")
    wait_until(lambda: len(pids(tmp_path)) == 3, seconds=10, what="three starts")
    process.terminate()
    _, stderr = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "exited with status 3" in stderr
    assert "restarting in 0.5 s" in stderr
    assert "restarting in 1 s" in stderr


def test_a_command_killed_with_sigkill_is_started_again(supervise: Start, tmp_path: Path) -> None:
    supervise(RUN_ON)
    first = wait_for_pid(tmp_path, 0)
    os.kill(first, signal.SIGKILL)
    assert wait_for_pid(tmp_path, 1) != first


def test_what_a_killed_command_leaves_in_its_group_is_gone_before_the_next_start(
    supervise: Start, tmp_path: Path
) -> None:
    supervise(f"subprocess.Popen([sys.executable, '-c', {child_program(tmp_path)!r}]); {RUN_ON}")
    first = wait_for_pid(tmp_path, 0)
    child = wait_for_pid(tmp_path, 0, name="children")
    os.kill(first, signal.SIGKILL)
    wait_for_pid(tmp_path, 1)
    assert gone(child)


def test_sigterm_gives_the_command_time_to_finish(supervise: Start, tmp_path: Path) -> None:
    done = tmp_path / "done"
    process = supervise(
        f"signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), open({str(done)!r}, 'w').close(), os._exit(0)))\n"
        f"open({str(tmp_path / 'armed')!r}, 'w').close()\n"
        f"{RUN_ON}"
    )
    wait_until((tmp_path / "armed").exists, seconds=10, what="the signal handler is set")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    assert done.exists()


def test_a_command_that_ignores_sigterm_and_its_children_are_killed_after_the_grace(
    supervise: Start, tmp_path: Path
) -> None:
    process = supervise(
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {child_program(tmp_path)!r}]); {RUN_ON}",
        supervisor=("-c", IMPATIENT),
    )
    pid, child = wait_for_pid(tmp_path, 0), wait_for_pid(tmp_path, 0, name="children")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    assert not gone(pid) and not gone(child)
    assert process.wait(timeout=6) == 0
    wait_until(lambda: gone(pid) and gone(child), seconds=2, what="command and child are gone")


def test_the_command_ends_when_the_supervisor_is_killed(supervise: Start, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs PR_SET_PDEATHSIG; elsewhere the launcher kills what is left when it stops")
    process = supervise(RUN_ON)
    pid = wait_for_pid(tmp_path, 0)
    process.kill()
    wait_until(lambda: gone(pid), seconds=2, what="the command is gone")


def test_supervisor_and_command_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    command = f"import os, time; open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n'); {RUN_ON}"
    starter = (
        "import subprocess, sys, time\n"
        f"command = [sys.executable, '-c', {command!r}]\n"
        "p = subprocess.Popen([sys.executable, '-m', 'deploy.local.restart_on_exit', '--', *command])\n"
        f"open({str(tmp_path / 'supervisor')!r}, 'w').write(str(p.pid)); {RUN_ON}"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter])
    pid = wait_for_pid(tmp_path, 0)
    supervisor = int((tmp_path / "supervisor").read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: gone(pid) and gone(supervisor), seconds=3, what="supervisor and command are gone")


def test_supervisor_and_command_end_when_the_launcher_of_the_stack_is_killed(supervise: Start, tmp_path: Path) -> None:
    stack = subprocess.Popen([sys.executable, "-c", f"import time; {RUN_ON}"])
    process = supervise(RUN_ON, DARKROOM_STACK_PID=str(stack.pid))
    pid = wait_for_pid(tmp_path, 0)
    stack.kill()  # and not waited for: a zombie counts as gone
    assert process.wait(timeout=5) == 0
    assert gone(pid)
    stack.wait()


def child_program(tmp_path: Path) -> str:
    return (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(tmp_path / 'children')!r}, 'a').write(f'{{os.getpid()}}\\n'); {RUN_ON}"
    )


def pids(tmp_path: Path, name: str = "pids") -> list[int]:
    path = tmp_path / name
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for_pid(tmp_path: Path, index: int, name: str = "pids") -> int:
    wait_until(lambda: len(pids(tmp_path, name)) > index, seconds=10, what=f"line {index} of {name}")
    return pids(tmp_path, name)[index]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
