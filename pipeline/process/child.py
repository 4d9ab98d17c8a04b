"""The child's end of the channel to the worker that supervises it.

Down, on the child's stdin: lines `cancel` and `stop`. End of file means that the supervisor is gone: the whole
process group ends itself (portable, unlike PR_SET_PDEATHSIG, which fires when a *thread* dies).
Up, in `out/progress.jsonl`: one JSON object a line. A typed failure is `out/problem.json`; the last file of a
success is the command's own (`result.json`, `model.json`).
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from core.domain.errors import DarkroomError, NoSpace, OutOfMemory, TrainerCrashed
from pipeline.process.disk_full import is_full_disk
from pipeline.process.memory_limit import lift_memory_limit, limit_memory
from pipeline.process.printing import keep_printing
from pipeline.process.results import PROBLEM_FILE, ChildProblem, write_last

EXIT_OK = 0
EXIT_FAILED = 1  # problem.json holds the reason
EXIT_FULL = 74  # sysexits' EX_IOERR: the disk is full, problem.json could not be written
EXIT_CANCELLED = 76

PROGRESS_FILE = "progress.jsonl"


class RunCancelled(BaseException):
    """Raised at the next report after a cancel was requested: end and throw away. Not a failure."""


class Channel:
    """`cancelled` and `stopping` are set by a thread that reads stdin."""

    def __init__(self, out: Path) -> None:
        self._file = (out / PROGRESS_FILE).open("ab", buffering=0)
        self._unwritten = b""  # what a full disk refused
        self._lock = threading.Lock()
        self.cancelled = threading.Event()
        self.stopping = threading.Event()

    def emit(self, kind: str, **fields: Any) -> None:
        """Append one whole line: the file may be read at any moment. On a full disk it follows later."""
        text = json.dumps({"type": kind, **fields}, allow_nan=False)
        with self._lock:
            self._unwritten += f"{text}\n".encode()
            try:
                while self._unwritten:
                    self._unwritten = self._unwritten[self._file.write(self._unwritten) :]
            except OSError as error:
                if not is_full_disk(error):
                    raise

    def stage(self, name: str) -> None:
        self.emit("stage", stage=name)

    def raise_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise RunCancelled

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def listen(self) -> None:
        """Read stdin in a thread until it ends, then end the whole process group."""
        threading.Thread(target=self._read_stdin, daemon=True, name="channel").start()

    def _read_stdin(self) -> None:
        for text in iter(sys.stdin.readline, ""):
            if text.strip() == "cancel":
                self.cancelled.set()
            elif text.strip() == "stop":
                self.stopping.set()
        os.killpg(0, signal.SIGKILL)


def run_child(
    out: Path,
    work: Callable[[Channel], object],
    *,
    supervised: bool,
    crash: type[DarkroomError] = TrainerCrashed,
    memory_bytes: int | None = None,
) -> int:
    """Run `work` and return its exit status; a failure is written to `out/problem.json`.

    `supervised`: stdin is the supervisor's pipe. On a terminal it is not, and Ctrl-C interrupts as usual.
    `crash`: the error that an unforeseen exception becomes. `memory_bytes`: above it `work` gets a MemoryError.
    """
    if memory_bytes is not None:
        limit_memory(memory_bytes)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with closing(Channel(out)) as channel:
            if supervised:
                channel.listen()
                keep_printing()
            work(channel)
    except RunCancelled:
        return EXIT_CANCELLED
    except DarkroomError as error:
        return _failed(out, error)
    except MemoryError as error:
        lift_memory_limit()
        return _failed(out, OutOfMemory(str(error) or "The process was refused memory."))
    except OSError as error:
        if is_full_disk(error):
            return _failed(out, NoSpace(f"The disk is full: {error}"))
        return _failed(out, _crashed(error, crash))
    except Exception as error:  # noqa: BLE001 - the last handler of the process: every failure is reported
        return _failed(out, _crashed(error, crash))
    return EXIT_OK


def _crashed(error: BaseException, crash: type[DarkroomError]) -> DarkroomError:
    traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}"[:2000]
    return crash(text.encode("utf-8", "backslashreplace").decode())  # half a surrogate pair has no bytes in JSON


def _failed(out: Path, error: DarkroomError) -> int:
    problem = ChildProblem.of(error).model_dump_json()
    try:
        write_last(out / PROBLEM_FILE, problem)
    except OSError as unwritten:
        print(problem, file=sys.stderr)  # noqa: T201 - the log is all that is left
        if isinstance(error, NoSpace) or is_full_disk(unwritten):
            return EXIT_FULL
    return EXIT_FAILED
