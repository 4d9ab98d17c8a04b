"""The exit of a child as a typed error. A cause that is not known is a crash with the end of the child's log."""

import os
import signal
from pathlib import Path

from core.domain.errors import DarkroomError, NoSpace, OutOfMemory, TrainerCrashed
from pipeline.process.child import EXIT_FAILED, EXIT_FULL
from pipeline.process.results import read_problem
from worker.supervision.launcher import ProcessExit

LOG_TAIL_BYTES = 4096
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)  # no crash: sent by an operator, or by a machine that shuts down


def killed_from_outside(ended: ProcessExit) -> bool:
    """Killed by a signal that neither the supervisor, a crash nor the kernel for want of memory sent: worth a retry."""
    return -ended.status in FROM_OUTSIDE and not ended.out_of_memory and not ended.out_of_time


def cause_of(ended: ProcessExit, out: Path, log: Path) -> DarkroomError:
    """The cause of an exit that was not a success, or that left no result."""
    problem = read_problem(out) if ended.status == EXIT_FAILED else None
    if problem is not None:
        reported = problem.as_error()
        if isinstance(reported, TrainerCrashed):
            return TrainerCrashed(reported.detail, **{**reported.facts, "log_tail": log_tail(log)})
        return reported
    if ended.status == EXIT_FULL:
        return NoSpace("The disk is full; not even the reason could be written.")
    if ended.status == -signal.SIGKILL and ended.out_of_memory:
        return OutOfMemory("The machine ran out of memory and ended the process.", log_tail=log_tail(log))
    return TrainerCrashed(_sentence(ended.status), status=ended.status, log_tail=log_tail(log))


def _sentence(status: int) -> str:
    if status < 0:
        return f"The process was killed by signal {-status} ({signal.strsignal(-status)})."
    if status == 0:
        return "The process ended without writing its result."
    return f"The process ended with status {status}."


def log_tail(log: Path) -> str:
    """The last 4 KB of the child's output."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
