"""Real servers for tests: the one that a variable names, else a private one on a free port or socket, else none.

A server that already listens on a default port is never used: it may hold real data.
"""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

START_SECONDS = 30.0  # PostgreSQL and Valkey need under 1, Swift 3 on a busy machine


class ServerMissing(Exception):
    """No variable names such a server and none could be started; the text says how to get one."""


@contextmanager
def needed(server: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """Starts a server. Where there is none the test is skipped with how to get one; under CI=true it fails."""
    try:
        starting = server()
        value = starting.__enter__()
    except ServerMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield value
    finally:
        starting.__exit__(None, None, None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, *, seconds: float = START_SECONDS
) -> None:
    """Returns when `answers()` is true. Raises AssertionError with the end of the log when the server ends or hangs."""

    def up() -> bool:
        assert process.poll() is None, f"{process.args!r} ended with status {process.returncode}: {_end_of(log)}"
        return answers()

    try:
        wait_until(up, seconds=seconds, what=lambda: f"{process.args!r} answers: {_end_of(log)}")
    except AssertionError:
        stop(process)
        raise


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def stop(process: subprocess.Popen[bytes], *, with_signal: int | None = None) -> None:
    """Stops a server: SIGTERM (or the signal it prefers), then SIGKILL after 10 s."""
    if process.poll() is not None:
        return
    if with_signal is None:
        process.terminate()
    else:
        process.send_signal(with_signal)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
