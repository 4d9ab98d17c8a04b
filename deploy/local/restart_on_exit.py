"""Keep one command running: `python -m deploy.local.restart_on_exit -- command...`

honcho stops everything when one process ends, so every line of the Procfile runs under this loop:
- an ended command is started again, after 0.5 s, then 1 s, 2 s, ... 30 s; 30 s of life reset that;
- SIGTERM and SIGINT go on to the command's process group; after 8 s what is left of it is killed;
- when the parent dies (or the stack named by DARKROOM_STACK_PID), however it dies, the command ends with it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

import psutil

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
HEALTHY_SECONDS = 30.0  # a command that lived this long did start
GRACE_SECONDS = 8.0  # a worker needs under 4 s to end a training from its last checkpoint
POLL_SECONDS = 0.25
PR_SET_PDEATHSIG = 1


def main() -> int:
    command = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if not command:
        print("usage: python -m deploy.local.restart_on_exit -- command...", file=sys.stderr)
        return 2
    return keep(command)


def keep(command: list[str]) -> int:
    """Run `command` again and again until a signal comes or the parent is gone. Returns 0: this end was wanted."""
    stopping = _stop_on_signals()
    orphaned = _watch_parents()

    def ended() -> bool:
        return stopping() or orphaned()

    _die_with_parent(signal.SIGTERM)
    wait_seconds = FIRST_WAIT_SECONDS
    while True:
        started = time.monotonic()
        status = _run_once(command, ended)
        if status is None:
            return 0
        lived = time.monotonic() - started
        wait_seconds = FIRST_WAIT_SECONDS if lived >= HEALTHY_SECONDS else wait_seconds
        _say(f"{_ending(status)} after {lived:.1f} s; starting again in {wait_seconds:g} s")
        if _until(ended, seconds=wait_seconds):
            return 0
        wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)


def _run_once(command: list[str], ended: Callable[[], bool]) -> int | None:
    """The command's exit status; None when it was us who had to end, and it is gone."""
    child = _start(command)
    _until(lambda: child.poll() is not None or ended())
    if ended():
        _end(child)
        return None
    _kill_group(child.pid)  # a killed server leaves its workers behind, and they hold its port
    return child.wait()


def _stop_on_signals() -> Callable[[], bool]:
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    return lambda: bool(seen)


def _watch_parents() -> Callable[[], bool]:
    """True once the parent changed, or the stack's own process is gone (honcho's pumps can outlive it)."""
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
    """In a session of its own, so that signals reach the whole of it and only through us."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(signal.SIGKILL),  # safe: this process has one thread
        )
    except OSError as error:
        _say(f"cannot start {command[0]}: {error}")
        return subprocess.Popen(["false"], start_new_session=True)


def _die_with_parent(number: int) -> None:
    """Linux tells us of the parent's death, even by SIGKILL; elsewhere the polling notices a moment later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _until(done: Callable[[], bool], *, seconds: float = float("inf")) -> bool:
    """Wait until `done()` or the time is up; which of the two it was."""
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= ends:
            return False
        time.sleep(min(POLL_SECONDS, max(0.0, ends - time.monotonic())))
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the group, wait for its first process, kill what is left."""
    _signal_group(child.pid, signal.SIGTERM)
    _until(lambda: child.poll() is not None, seconds=GRACE_SECONDS)
    _kill_group(child.pid)
    child.wait()


def _kill_group(group: int) -> None:
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _say(text: str) -> None:
    print(f"[keep] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
