"""What the commands of workers share: a spec in a file, a supervised process, an exit that waits for no library."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from core.domain.errors import DarkroomError, OperationFailed
from pipeline.process.child import Channel, run_child
from pipeline.process.results import PROBLEM_FILE, RESULT_FILE
from pipeline.process.specs import ChildSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="spec.json")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")


def run_spec(
    spec: ChildSpec,
    work: Callable[[Channel], None],
    *,
    supervised: bool,
    crash: type[DarkroomError] = OperationFailed,
) -> int:
    """Returns 0: done; 1: refused or failed, problem.json holds the reason; 76: cancelled. Supervised, it exits.

    `crash`: what an error without a name is reported as.
    """
    for stale in (PROBLEM_FILE, RESULT_FILE):  # of an earlier try in the same place
        (spec.out / stale).unlink(missing_ok=True)
    status = run_child(spec.out, work, supervised=supervised, crash=crash, memory_bytes=spec.memory_bytes)
    if supervised:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # without cleaning up: torch takes 0.5 s for it, of the 2 s that a cancel has
    return status
