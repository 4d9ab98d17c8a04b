"""`python -m worker all`: a process for every role, on Linux forked from one that has imported what they share.

Four processes that start by themselves import the same modules four times. This one starts a process that has ended
again (`worker/restart_delay.py`). SIGTERM and SIGINT are passed on, and its own end, in whatever way, is that of the
others.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

from core import clock
from worker.restart_delay import RestartDelay

POLL_SECONDS = 0.25
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Role:
    name: str
    pid: int = 0  # 0: not running
    started: float = 0.0
    start_at: float = 0.0
    delay: RestartDelay = field(default_factory=RestartDelay)


def run_roles(names: Sequence[str], run: Callable[[str], None]) -> None:
    """`run(role)` in a process of its own for each role, until a signal arrives and all have ended."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    roles = [_Role(name) for name in names]
    while not stopping:
        for role in roles:
            if not role.pid and clock.monotonic() >= role.start_at:
                _start(role, run)
            elif role.pid and (status := _ended(role)) is not None:
                _plan_restart(role, status)
        time.sleep(POLL_SECONDS)
    for role in roles:
        if role.pid:
            _signal(role.pid)
    for role in roles:
        if role.pid:
            os.waitpid(role.pid, 0)


def _start(role: _Role, run: Callable[[str], None]) -> None:
    role.started = clock.monotonic()
    if sys.platform != "linux":  # macOS: its frameworks do not survive a fork
        role.pid = subprocess.Popen([sys.executable, "-m", "worker", role.name], stdin=subprocess.DEVNULL).pid
        return
    parent = os.getpid()
    role.pid = os.fork()
    if role.pid:
        return
    status = 1
    try:
        _die_with(parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _name(f"worker {role.name}")
        run(role.name)
        status = 0
    except Exception:  # nothing of the parent may go on in this process; its end starts another one
        log.exception("worker.failed", role=role.name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _name(text: str) -> None:
    """The name of this process in `ps -o comm` and `top`, whose command line is that of the one it was forked from."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, text.encode(), 0, 0, 0)  # the kernel cuts it at 15 bytes


def _die_with(parent: int) -> None:
    """The kernel kills this process when the parent exits."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _ended(role: _Role) -> int | None:
    pid, status = os.waitpid(role.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _plan_restart(role: _Role, status: int) -> None:
    now = clock.monotonic()
    delay = role.delay.after(now - role.started)
    log.warning("worker.ended", role=role.name, status=status, restart_in=delay)
    role.pid, role.start_at = 0, now + delay


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
