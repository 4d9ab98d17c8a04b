"""The two ends of the line between a child process and the worker that supervises it.

Down, on the child's stdin: lines `cancel` and `stop`. End of file means that the supervisor is gone: the whole
process group ends itself (portable, unlike PR_SET_PDEATHSIG, which fires when a *thread* dies).
Up, in `out/progress.jsonl`: one JSON object a line. A typed failure is `out/problem.json`; the last file of a
success is the verb's own (`result.json`, `model.json`).
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from core.domain.errors import DarkroomError, NoSpace, OutOfMemory, TrainerCrashed
from pipeline.process.disk_full import is_full_disk

EXIT_OK = 0
EXIT_FAILED = 1  # problem.json says why
EXIT_FULL = 74  # sysexits' EX_IOERR: the disk is full, problem.json included
EXIT_CANCELLED = 76

PROGRESS_FILE = "progress.jsonl"
PROBLEM_FILE = "problem.json"


class RunCancelled(BaseException):
    """Raised inside a trainer by `report` when it was asked to stop and throw away. Not a failure."""


class Channel:
    """The child's end. `cancelled` and `stopping` are set from stdin by a thread of their own."""

    def __init__(self, out: Path) -> None:
        self._file = (out / PROGRESS_FILE).open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.cancelled = threading.Event()
        self.stopping = threading.Event()

    def emit(self, kind: str, **fields: Any) -> None:
        """Append one line. Whole lines only: the reader may look at any moment."""
        text = json.dumps({"type": kind, **fields}, allow_nan=False)
        with self._lock:
            self._file.write(text + "\n")
            self._file.flush()

    def stage(self, name: str) -> None:
        self.emit("stage", stage=name)

    def raise_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise RunCancelled

    def close(self) -> None:
        with self._lock, suppress(OSError):  # what a full disk did not take is tried once more, and was told by then
            self._file.close()

    def listen(self) -> None:
        """Watch stdin until it ends, then end the whole process group."""
        threading.Thread(target=self._watch, daemon=True, name="line").start()

    def _watch(self) -> None:
        for text in iter(sys.stdin.readline, ""):
            if text.strip() == "cancel":
                self.cancelled.set()
            elif text.strip() == "stop":
                self.stopping.set()
        os.killpg(0, signal.SIGKILL)


def run_child(
    out: Path, work: Callable[[Channel], None], *, supervised: bool, crash: type[DarkroomError] = TrainerCrashed
) -> int:
    """Run `work` and turn however it ends into an exit status and, for a failure, `out/problem.json`.

    `supervised`: stdin is the supervisor's pipe. On a terminal it is not, and Ctrl-C does what it always does.
    `crash`: what an exception that nobody foresaw becomes.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with closing(Channel(out)) as line:
            if supervised:
                line.listen()
            work(line)
    except RunCancelled:
        return EXIT_CANCELLED
    except DarkroomError as error:
        return _failed(out, error)
    except MemoryError as error:
        return _failed(out, OutOfMemory(str(error) or "The process was refused memory."))
    except OSError as error:
        if is_full_disk(error):
            return _failed(out, NoSpace(f"The disk is full: {error}"))
        return _failed(out, _crashed(error, crash))
    except Exception as error:  # noqa: BLE001 - the last line of a process: whatever it is, it is told
        return _failed(out, _crashed(error, crash))
    return EXIT_OK


def _crashed(error: BaseException, crash: type[DarkroomError]) -> DarkroomError:
    traceback.print_exception(error)
    return crash(f"{type(error).__name__}: {error}"[:2000])


def _failed(out: Path, error: DarkroomError) -> int:
    problem = {"slug": error.slug, "detail": error.detail, "facts": error.facts}
    partial = out / f"{PROBLEM_FILE}.part"
    try:
        partial.write_text(json.dumps(problem), encoding="utf-8")
        partial.replace(out / PROBLEM_FILE)
    except OSError as unwritten:
        print(json.dumps(problem), file=sys.stderr)  # noqa: T201 - the log is what is left
        if isinstance(error, NoSpace) or is_full_disk(unwritten):
            return EXIT_FULL
    return EXIT_FAILED


def problem_in(out: Path) -> str:
    """`slug: detail` of the failure that a child left there; empty when it left none."""
    try:
        problem = json.loads((out / PROBLEM_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return f"{problem['slug']}: {problem['detail']}"
