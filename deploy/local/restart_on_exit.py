"""A process supervisor for one command: `python -m deploy.local.restart_on_exit [--after file] -- command...`

honcho stops everything when one process exits, so each entry of the Procfile runs under a supervisor:
- it restarts the command when that exits, after 0.5 s, then 1 s, 2 s, ... (`worker/restart_delay.py`);
- it passes SIGTERM and SIGINT on to the command's process group, and kills what is left of the group after 8 s;
- `--after`: it starts the command when that file is there;
- it stops the command when its own parent, or the process DARKROOM_STACK_PID, exits in whatever way.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import psutil

from worker.restart_delay import RestartDelay

GRACE_SECONDS = 8.0  # a worker needs under 4 s to end a training from its last checkpoint
POLL_SECONDS = 0.25
PR_SET_PDEATHSIG = 1


def main() -> int:
    command = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if not command:
        print("usage: python -m deploy.local.restart_on_exit [--after file] -- command...", file=sys.stderr)
        return 2
    return supervise(command, after=Path(sys.argv[2]) if sys.argv[1] == "--after" else None)


def supervise(command: list[str], *, after: Path | None = None) -> int:
    """Runs `command` again and again until a signal arrives or the parent has exited. Returns 0: a requested stop."""
    signalled = _note_signals()
    orphaned = _watch_parents()

    def stopping() -> bool:
        return signalled() or orphaned()

    _die_with_parent(signal.SIGTERM)
    if after:
        _until(lambda: after.exists() or stopping())
    if stopping():
        return 0
    delay = RestartDelay()
    while True:
        started = time.monotonic()
        status = _run_once(command, stopping)
        if status is None:
            return 0
        ran = time.monotonic() - started
        seconds = delay.after(ran)
        _log(f"{_ending(status)} after {ran:.1f} s; restarting in {seconds:g} s")
        if _until(stopping, seconds=seconds):
            return 0


def _run_once(command: list[str], stopping: Callable[[], bool]) -> int | None:
    """Returns the command's exit status; None when the supervisor has to stop, and has stopped the command."""
    child = _start(command)
    _until(lambda: child.poll() is not None or stopping())
    if stopping():
        _end(child)
        return None
    _kill_group(child.pid)  # a killed server leaves its workers behind, and they hold its port
    return child.wait()


def _note_signals() -> Callable[[], bool]:
    """Returns whether SIGTERM, SIGINT or SIGHUP has arrived since."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    return lambda: bool(received)


def _watch_parents() -> Callable[[], bool]:
    """Returns whether the parent has changed or the stack's launcher has exited (honcho's pumps can outlive it)."""
    parent, stack = os.getppid(), _stack_process()

    def orphaned() -> bool:
        return os.getppid() != parent or (stack is not None and not _alive(stack))

    return orphaned


def _stack_process() -> psutil.Process | None:
    pid = os.environ.get("DARKROOM_STACK_PID", "")
    try:
        return psutil.Process(int(pid)) if pid else None
    except psutil.NoSuchProcess:
        sys.exit(0)  # it ended while this process started


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a signal reaches its whole group, and only through the supervisor."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(signal.SIGKILL),  # safe: this process has one thread
        )
    except OSError as error:
        _log(f"cannot start {command[0]}: {error}")
        return subprocess.Popen(["false"], start_new_session=True)


def _die_with_parent(number: int) -> None:
    """Linux signals the death of the parent, even by SIGKILL; elsewhere the polling notices it a moment later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _until(done: Callable[[], bool], *, seconds: float = float("inf")) -> bool:
    """Waits for `done()`. Returns False when the time is up first."""
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= ends:
            return False
        time.sleep(min(POLL_SECONDS, max(0.0, ends - time.monotonic())))
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group, a wait for its first process, SIGKILL to what is left."""
    _signal_group(child.pid, signal.SIGTERM)
    _until(lambda: child.poll() is not None, seconds=GRACE_SECONDS)
    _kill_group(child.pid)
    child.wait()


def _kill_group(group: int) -> None:
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"


def _log(text: str) -> None:
    print(f"[supervisor] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
