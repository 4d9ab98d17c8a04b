"""What the end of a child means, as a typed error. Never "unknown": the end of its log goes along."""

import json
import signal
from pathlib import Path
from typing import Any

from core.domain.errors import DarkroomError, NoSpace, OutOfMemory, TrainerCrashed, error_from_slug
from pipeline.process.child import EXIT_FAILED, EXIT_FULL, PROBLEM_FILE
from worker.supervision.child import log_tail
from worker.supervision.supervisor import Ending

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)  # nobody crashes by these: an operator, a machine that ends


def killed_from_outside(ending: Ending) -> bool:
    """Killed by a signal that was not ours and that no crash sends, nor the out-of-memory killer: worth another try."""
    return -ending.status in FROM_OUTSIDE and not ending.out_of_memory


def cause_of(ending: Ending, out: Path, log: Path) -> DarkroomError:
    """The typed cause of a child that ended other than well, or without its last file."""
    told = _told_problem(out / PROBLEM_FILE) if ending.status == EXIT_FAILED else None
    if isinstance(told, TrainerCrashed):
        return TrainerCrashed(told.detail, **{**told.facts, "log_tail": log_tail(log)})
    if told is not None:
        return told
    if ending.status == EXIT_FULL:
        return NoSpace("The disk is full; not even the reason could be written.")
    if ending.status == -signal.SIGKILL and ending.out_of_memory:
        return OutOfMemory("The machine ran out of memory and ended the process.", log_tail=log_tail(log))
    return TrainerCrashed(_how(ending.status), status=ending.status, log_tail=log_tail(log))


def _told_problem(path: Path) -> DarkroomError | None:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return error_from_slug(told["slug"], str(told["detail"]), **told.get("facts", {}))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _how(status: int) -> str:
    if status < 0:
        return f"The process was killed by signal {-status} ({signal.strsignal(-status)})."
    if status == 0:
        return "The process ended without its last file."
    return f"The process ended with status {status}."
