"""What runs for a stack, seen from outside: by the mark that its launcher leaves in their environment."""

import time
from collections.abc import Callable, Iterable

import psutil


def marked(stack_pid: int) -> list[psutil.Process]:
    """Every process of the stack of launcher `stack_pid`, in whatever session: marked, or born of one that is."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("DARKROOM_STACK_PID") == str(stack_pid):
                found |= {process, *process.children(recursive=True)}
        except (psutil.Error, OSError):
            continue
    return alive(found)


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    def lives(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    return [process for process in processes if lives(process)]


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
