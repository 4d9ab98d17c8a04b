"""What runs for a stack, seen from outside: by the mark that its launcher leaves in every environment."""

import time
from collections.abc import Callable

import psutil


def marked(stack_pid: int) -> list[psutil.Process]:
    """Every process of the stack that `stack_pid` launched, in whatever session or group, the launcher excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DARKROOM_STACK_PID") == str(stack_pid) and process.status() != "zombie":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def commands(processes: list[psutil.Process]) -> str:
    """Their command lines, to look into and to show when a test fails."""
    lines = []
    for process in processes:
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


def wait_until(condition: Callable[[], bool], *, seconds: float, what: Callable[[], str] = lambda: "") -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"it did not happen within {seconds} s\n{what()}"
        time.sleep(0.1)
