"""Commands of `python -m pipeline`, and workers, in forks of a process that has imported their libraries.

Importing takes 0.5 s for a preparation, 1 s for a worker, and 4 to 6 s for a trainer. A fork has its own folder,
environment, log, stdin and process group, as a process that a worker starts. Not for tests of the start itself, nor for
snippets that show what a plain library reads. `python -m tests.builders.warm_children FD LIBRARIES` is the process that
forks; it ends with the tests.
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
import threading
import traceback
import weakref
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from tests import REPOSITORY
from tests.builders.empty_plots import touching_plots

# Whose libraries: of what reads and writes datasets, of workers, else of a trainer.
PREPARATIONS, WORKERS = "preparations", "workers"
SCRIPTED = "tests.servers.scripted_child"
_COMMANDS = ("prepare", "repair", "extend", "index", "freeze", "export-dataset", "render")
_OF_PREPARATIONS = (
    *("pipeline.cli.prepare", "pipeline.cli.repair", "pipeline.cli.extend", "pipeline.cli.index_set"),
    *("pipeline.cli.freeze", "pipeline.cli.export_dataset", "pipeline.cli.render", "pipeline.prepare.run"),
    *("pipeline.repair.rewrite_zip", "pipeline.extension.run", "pipeline.index.rebuild", "pipeline.index.freeze"),
    *("pipeline.dataset_export.run", "pipeline.plots.rendering", "pipeline.plots.comparison", SCRIPTED),
    *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff")),
)
_OF_WORKERS = (
    *("tests.servers.scripted_worker", "tests.servers.scripted_operation", "worker.tasks.housekeeping", "worker.loop"),
    *("core.queue.app", "celery.apps.worker", "celery.worker", "celery.concurrency.thread"),
)
_CLASSIFIERS = ("clip", "vit")  # whose forks are of one process: they share most of what they import
_MESSAGE = 65_536  # bytes; a request has some thousand
_LOCK = threading.Lock()  # one request at a time


class WarmChild:
    """The part of subprocess.Popen that its callers use."""

    def __init__(self, pid: int, stdin: int, ended: int, stdout: int | None = None) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = None if stdout is None else os.fdopen(stdout, "rb")
        self._ended = ended  # a pipe, on which the forking process writes the exit status
        self._reading = threading.Lock()  # several threads may wait for one child
        weakref.finalize(self, os.close, ended)

    def poll(self) -> int | None:
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return status

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it is reaped, and its status is still to be written
                os.kill(self.pid, number)

    def close(self) -> None:
        self.stdin.close()

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            with self._reading:
                if self.returncode is None:
                    self.returncode = int(os.read(self._ended, 16) or b"-9")
        return self.returncode


def start_warm(libraries: str, argv: list[str], *, cwd: Path, log: Path) -> WarmChild:
    """Runs `python -m pipeline {argv}` in `cwd`, with its output in `log`; of `-c CODE ...`, the snippet; of
    `-m MODULE ...`, its `main`."""
    with log.open("wb") as file:
        return fork_warm(libraries, argv, cwd=cwd, environment=None, stdout=file.fileno(), stderr=file.fileno())


def fork_warm(
    libraries: str, argv: list[str], *, cwd: Path, environment: dict[str, str] | None, stdout: int | None, stderr: int
) -> WarmChild:
    """`environment`: else that of the first test. `stdout`: else a pipe to the child's `stdout`."""
    stdin, to_child = os.pipe()
    ended, status = os.pipe()
    from_child, pipe = os.pipe() if stdout is None else (None, None)
    request = json.dumps({"argv": argv, "cwd": str(cwd), "environment": environment}).encode()
    with _LOCK:
        connection = _server("+".join(_CLASSIFIERS) if libraries in _CLASSIFIERS else libraries)
        socket.send_fds(connection, [request], [stdin, pipe if stdout is None else stdout, stderr, status])
        pid = int(connection.recv(_MESSAGE) or b"0")
    for end in (stdin, status, pipe):
        if end is not None:
            os.close(end)
    assert pid, f"the process that forks children with {libraries} has ended"
    return WarmChild(pid, to_child, ended, from_child)


def _popen(
    command: list[str],
    *,
    stdin: int,
    stdout: Any,
    stderr: int,
    env: dict[str, str],
    start_new_session: bool,
    cwd: Any = ".",
) -> Any:
    """A fork, where `command` is one whose libraries are imported."""
    assert stdin == subprocess.PIPE and start_new_session
    argv = _argv(command)
    if argv is None:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, start_new_session=True
        )
    with open(os.devnull, "wb") as null:
        out = None if stdout == subprocess.PIPE else stdout.fileno()
        error = out if stderr == subprocess.STDOUT and out is not None else null.fileno()
        return fork_warm(PREPARATIONS, argv, cwd=cwd, environment=env, stdout=out, stderr=error)


def _argv(command: list[str]) -> list[str] | None:
    """What the fork is to run."""
    match command:
        case [sys.executable, "-m", "pipeline", name, *options] if name in _COMMANDS:
            return [name, *options]
        case [sys.executable, "-m", "tests.servers.scripted_child", *options]:
            return ["-m", SCRIPTED, *options]
    return None


WARM = SimpleNamespace(  # in place of the module `subprocess`
    Popen=_popen,
    PIPE=subprocess.PIPE,
    STDOUT=subprocess.STDOUT,
    DEVNULL=subprocess.DEVNULL,
    TimeoutExpired=subprocess.TimeoutExpired,
)


def run_warm(libraries: str, *argv: object, folder: Path, seconds: float = 120) -> str:
    """As `start_warm`, until it ends with 0. Returns its output."""
    log = folder / "warm.log"
    child = start_warm(libraries, list(map(str, argv)), cwd=folder, log=log)
    child.stdin.close()
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    assert status == 0, log.read_text()[-3000:]
    return log.read_text()


@lru_cache(maxsize=4)
def _server(libraries: str) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.builders.warm_children", str(theirs.fileno()), libraries]
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


def serve(connection: socket.socket, libraries: str) -> None:
    """Forks for each request, and writes the status of each fork that ends, until the tests close the connection."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as home:
        _import(libraries, Path(home))
        while True:
            ready, _, _ = select.select([connection.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                _report(running)
            if connection.fileno() in ready and not _fork(connection, running):
                return


def _import(libraries: str, home: Path) -> None:
    if libraries == PREPARATIONS:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a fork has no threads but its own
        for module in _OF_PREPARATIONS:
            import_module(module)
        for module in ("pipeline.prepare.run", "pipeline.prepare.dataset_plots"):
            import_module(module).drawing_plots = touching_plots
        _share_fork_server()
        return
    if libraries == WORKERS:
        for module in _OF_WORKERS:
            import_module(module)
        return
    environment = "pipeline.trainers.yolo.environment" if libraries == "yolo" else "pipeline.process.huggingface_env"
    import_module(environment).go_offline(home)
    recipes = [f"pipeline.trainers.{trainer}.recipe" for trainer in libraries.split("+")]
    for module in ("pipeline.cli.train", "pipeline.training.run", *recipes):
        import_module(module)


def _share_fork_server() -> None:
    """The forks have their decoding processes forked by one server, as if each had started it."""
    from multiprocessing import forkserver

    from pipeline.decode.process import start_server

    start_server()
    forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None


def _fork(connection: socket.socket, running: dict[int, int]) -> bool:
    """False at the end of the tests."""
    message, fds, _, _ = socket.recv_fds(connection, _MESSAGE, 4)
    if not message:
        return False
    *streams, status = fds
    pid = os.fork()
    if pid == 0:
        _be_child(json.loads(message), connection, streams, others=[status, *running.values()])
    for stream in streams:
        os.close(stream)
    running[pid] = status
    return True


def _be_child(request: dict[str, Any], connection: socket.socket, streams: list[int], *, others: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        os.setsid()
        connection.send(str(os.getpid()).encode())  # from now on its group can be killed
        connection.close()
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        for fd in (*streams, *others):
            os.close(fd)
        os.chdir(request["cwd"])
        if request["environment"] is not None:
            os.environ.clear()
            os.environ.update(request["environment"])
            tempfile.tempdir = None
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
    if argv[0] == "-m":
        return int(import_module(argv[1]).main(argv[2:]))
    from pipeline.__main__ import run

    return run(argv)


def _report(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        ended = running.pop(pid, None)
        if ended is not None:
            os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(ended)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
    os._exit(0)  # without cleaning up: torch takes 0.5 s for it
