"""S3: OpenStack Swift's S3 API, all its servers in one private process, up in about 2 s."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests import REPOSITORY
from tests.servers import ServerMissing, free_port, stop, wait_until_up

VARIABLE = "DARKROOM_TEST_S3_ENDPOINT"
HOW = f"set {VARIABLE}, {VARIABLE[:-8]}ACCESS_KEY and {VARIABLE[:-8]}SECRET_KEY, or `pip install swift`"


class S3:
    """A private server that a test may kill and start again, at the same address."""

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("swift") is None:
            raise ServerMissing(f"No S3 server: {HOW}.")
        self._folder = folder
        self._port = free_port()
        self._secret = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {"s3_endpoint": self._endpoint, "s3_access_key": "test:tester", "s3_secret_key": self._secret}

    def start(self) -> None:
        # eventlet, which Swift runs on, warns that it is old: a process of its own, with warnings off
        module = [sys.executable, "-W", "ignore", "-m", "tests.servers.swift"]
        log = self._folder / "log"
        with log.open("ab") as out:
            command = [*module, str(self._folder), str(self._port), self._secret]
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=out, stderr=out)
        wait_until_up(self._process, lambda: _answers(self._endpoint), log)

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

    @property
    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"


@contextmanager
def private_s3() -> Iterator[S3]:
    folder = Path(tempfile.mkdtemp(prefix="dr-s3-"))
    try:
        server = S3(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3() -> Iterator[dict[str, Any]]:
    """The settings of a server, without `store_url`: every test takes a bucket of its own."""
    if named := os.environ.get(VARIABLE):
        yield {
            "s3_endpoint": named,
            "s3_access_key": os.environ["DARKROOM_TEST_S3_ACCESS_KEY"],
            "s3_secret_key": os.environ["DARKROOM_TEST_S3_SECRET_KEY"],
        }
        return
    with private_s3() as server:
        yield server.settings


def _answers(endpoint: str) -> bool:
    try:
        httpx.get(endpoint, timeout=2)
    except httpx.TransportError:
        return False
    return True
