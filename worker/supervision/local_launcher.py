"""A launcher of child processes on this machine. The child's end of the channel is pipeline/process/child.py."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from core.storage.locked_files import locked
from pipeline.process.child import PROGRESS_FILE
from pipeline.process.environment import child_environment
from pipeline.process.specs import ChildSpec
from worker.inputs.scratch import TEMPORARY_PREFIX
from worker.supervision.launcher import Message, ProcessExit, SupervisedProcess
from worker.supervision.oom import MemoryWatch
from worker.supervision.system_metrics import GroupSampler

CANCEL_SECONDS = 2.0  # in which the child may end by itself
TERM_SECONDS = 1.0


class LocalLauncher:
    """Each command is a child process of this one, its spec a file beside its folder."""

    def start(self, spec: ChildSpec, *, log: Path) -> SupervisedProcess:
        spec_file = spec.out.with_suffix(".json")
        spec_file.write_text(spec.model_dump_json(), encoding="utf-8")
        return LocalProcess(self.command(spec.command, spec_file), out=spec.out, log=log)

    def command(self, name: str, spec_file: Path) -> Sequence[str]:
        return [sys.executable, "-m", "pipeline", name, "--config", str(spec_file), "--supervised"]


class LocalProcess:
    """A process in a session and group of its own. It ends when its stdin does, so that none outlives its supervisor.

    Its temporary files are removed with it, also after a kill; housekeeping removes those of a killed supervisor. They
    lie below the system's temporary folder: the path of a socket, as torch's loaders make them, has at most 107 bytes,
    and a scratch folder's is often longer.
    """

    def __init__(self, command: Sequence[str], *, out: Path, log: Path) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, ignore_cleanup_errors=True)
        self._holding = ExitStack()
        self._holding.enter_context(locked(Path(self._temporary.name)))
        self._memory = MemoryWatch()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                cwd=out,
                env=child_environment(os.environ) | {"TMPDIR": self._temporary.name},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sampler = GroupSampler(self._process.pid)
        self._progress = Tail(out / PROGRESS_FILE)

    @property
    def name(self) -> str:
        return f"pid {self._process.pid}"

    def wait(self, seconds: float) -> ProcessExit | None:
        status = self._status(seconds)
        return None if status is None else ProcessExit(status, out_of_memory=self._memory.ran_out())

    def send(self, message: Message) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(f"{message}\n".encode())
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):  # it has just ended
            return

    def read_progress(self) -> list[dict[str, Any]]:
        return self._progress.read()

    def sample(self) -> dict[str, float]:
        values = self._sampler.sample()
        self._memory.note(int(values.get("memory_bytes", 0)))
        return values

    def cancel(self) -> None:
        """Send `cancel`, then TERM, then KILL to the group."""
        self.send("cancel")
        if self._status(CANCEL_SECONDS) is None:
            self._signal(signal.SIGTERM)
            self._status(TERM_SECONDS)
        self.kill()

    def kill(self) -> None:
        """KILL what is left of the group and reap the child."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._temporary.cleanup()
        self._holding.close()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                return

    def _status(self, wait_seconds: float) -> int | None:
        try:
            return self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return None

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            return


class Tail:
    """The new whole lines of a file of JSON objects that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """A line that is not a JSON object is skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [entry for line in whole.splitlines() if isinstance(entry := _parsed(line), dict)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
