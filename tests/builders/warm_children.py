"""Commands of `python -m pipeline` in forks of a process that has imported a trainer's libraries, which takes 4 to 6 s.

A fork has its own folder, log, stdin and process group, as a process that a worker starts. Not for tests of the start
itself, nor for snippets that show what a plain library reads. `python -m tests.builders.warm_children FD TRAINER` is
the process that forks; it ends with the tests.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests import REPOSITORY

_MESSAGE = 65_536  # bytes; a request has some hundred


class WarmChild:
    """The part of subprocess.Popen that tests use."""

    def __init__(self, pid: int, stdin: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = os.fdopen(stdin, "wb")
        self._ended = ended  # a pipe, on which the forking process writes the exit status

    def poll(self) -> int | None:
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return status

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(os.read(self._ended, 16) or b"-9")
            os.close(self._ended)
        return self.returncode


def start_warm(trainer: str, argv: list[str], *, cwd: Path, log: Path) -> WarmChild:
    """Runs `python -m pipeline {argv}` in `cwd`, with its output in `log`; of `-c CODE ...`, the snippet."""
    connection = _server(trainer)
    stdin, to_child = os.pipe()
    ended, status = os.pipe()
    request = json.dumps({"argv": argv, "cwd": str(cwd)}).encode()
    with log.open("wb") as file:
        socket.send_fds(connection, [request], [stdin, file.fileno(), status])
    os.close(stdin)
    os.close(status)
    pid = int(connection.recv(_MESSAGE) or b"0")
    assert pid, f"the process that forks children of {trainer} has ended"
    return WarmChild(pid, to_child, ended)


def run_warm(trainer: str, *argv: object, folder: Path, seconds: float = 120) -> str:
    """As `start_warm`, until it ends with 0. Returns its output."""
    log = folder / "warm.log"
    child = start_warm(trainer, list(map(str, argv)), cwd=folder, log=log)
    child.stdin.close()
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    assert status == 0, log.read_text()[-3000:]
    return log.read_text()


@lru_cache(maxsize=4)
def _server(trainer: str) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.builders.warm_children", str(theirs.fileno()), trainer]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment)
    theirs.close()
    atexit.register(_end, ours, server)
    return ours


def _end(connection: socket.socket, server: "subprocess.Popen[bytes]") -> None:
    connection.close()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


def serve(connection: socket.socket, trainer: str) -> None:
    """Forks for each request, and writes the status of each fork that ends, until the tests close the connection."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as home:
        _import(trainer, Path(home))
        while True:
            ready, _, _ = select.select([connection.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                _report(running)
            if connection.fileno() in ready and not _fork(connection, running):
                return


def _import(trainer: str, home: Path) -> None:
    environment = "pipeline.trainers.yolo.environment" if trainer == "yolo" else "pipeline.process.huggingface_env"
    import_module(environment).go_offline(home)
    for module in ("pipeline.cli.train", "pipeline.training.run", f"pipeline.trainers.{trainer}.recipe"):
        import_module(module)


def _fork(connection: socket.socket, running: dict[int, int]) -> bool:
    """False at the end of the tests."""
    message, fds, _, _ = socket.recv_fds(connection, _MESSAGE, 3)
    if not message:
        return False
    stdin, log, status = fds
    pid = os.fork()
    if pid == 0:
        _be_child(json.loads(message), stdin, log, others=[connection.fileno(), status, *running.values()])
    os.close(stdin)
    os.close(log)
    running[pid] = status
    connection.send(str(pid).encode())
    return True


def _be_child(request: dict[str, Any], stdin: int, log: int, *, others: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        os.setsid()
        for number, fd in ((0, stdin), (1, log), (2, log)):
            os.dup2(fd, number)
        for fd in (stdin, log, *others):
            os.close(fd)
        os.chdir(request["cwd"])
        status = _run(request["argv"])
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(argv: list[str]) -> int:
    if argv[0] == "-c":
        sys.argv = [argv[0], *argv[2:]]
        exec(compile(argv[1], "<snippet>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the text of a test
        return 0
    from pipeline.__main__ import run

    return run(argv)


def _report(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        ended = running.pop(pid)
        os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(ended)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
    os._exit(0)  # without cleaning up: torch takes 0.5 s for it
