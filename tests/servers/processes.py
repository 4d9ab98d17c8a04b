"""The processes of a stack, found by the DARKROOM_STACK_PID that its launcher sets in their environment."""

from collections.abc import Iterable

import psutil


def marked(stack_pid: int) -> list[psutil.Process]:
    """The processes of the stack of launcher `stack_pid`, in any session: those that are marked, and their children."""
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
    """Their names and command lines, one a line: to search, and for the message of a failed test."""
    lines = []
    for process in processes:
        try:
            lines.append(" ".join([process.name(), *process.cmdline()]))
        except psutil.Error:
            continue
    return "\n".join(lines)
