"""Real servers for tests: the one a variable names, else a private one on a free port or socket, else none.

Never whatever happens to listen on a usual port: it may hold somebody's data.
"""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

START_SECONDS = 30.0  # PostgreSQL and Valkey need under 1, Swift 3 on a busy machine


class ServerMissing(Exception):
    """No such server was named and none could be started; the text says how to get one."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, *, seconds: float = START_SECONDS
) -> None:
    """Return when `answers()` is true. Raises RuntimeError with the end of the log when the server ends or hangs."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"{process.args!r} did not come up:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], *, with_signal: int | None = None) -> None:
    """End a server: SIGTERM (or the signal it prefers), then SIGKILL after 10 s."""
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
