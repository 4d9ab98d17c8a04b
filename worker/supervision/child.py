"""The supervisor's end of the line to a child process; the other end is pipeline/process/child.py."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.process.environment import child_environment

CANCEL_SECONDS = 2.0  # the child may end by itself
TERM_SECONDS = 1.0
LOG_TAIL_BYTES = 4096


def child_command(verb: str, spec: Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", verb, "--config", str(spec), "--supervised"]


class Child:
    """A process in a session and a group of its own; `end` of its stdin is the end of it (a dead man's switch).

    Its temporary files, also those that it cannot remove when it is killed, go with it. They lie below the system's
    temporary folder: the path of a socket, as torch's loaders have one, is at most 107 bytes, and a scratch folder's is
    often longer.
    """

    def __init__(self, command: Sequence[str], *, out: Path, log: Path) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="darkroom-", ignore_cleanup_errors=True)
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

    @property
    def pid(self) -> int:
        return self._process.pid

    def status(self, *, wait_seconds: float) -> int | None:
        """The exit status, negative for a signal; None while it runs, after waiting a little."""
        try:
            return self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return None

    def say(self, word: str) -> None:
        """`cancel` or `stop`. A child that is just ending hears nothing."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(f"{word}\n".encode())
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return

    def cancel(self) -> None:
        """Ask, then TERM, then KILL the group: gone after 3 s."""
        self.say("cancel")
        if self.status(wait_seconds=CANCEL_SECONDS) is None:
            self._signal(signal.SIGTERM)
            self.status(wait_seconds=TERM_SECONDS)
        self.kill()

    def kill(self) -> None:
        """KILL what is left of the group and reap the child."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._temporary.cleanup()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                return

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
            return


class Tail:
    """The new whole lines of a file of JSON objects that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [entry for line in whole.splitlines() if isinstance(entry := _parsed(line), dict)]


def log_tail(log: Path) -> str:
    """The last 4 KB of the child's output."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
