"""A `python -m api` on one core, over a given database."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from deploy.local.private_stack import free_ports

API_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    home: Path
    database_url: str

    def memory_bytes(self) -> int:
        """Resident memory of the process."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def serve(home: Path, database_url: str) -> Iterator[Server]:
    (port,) = free_ports(1)
    settings = {
        "DARKROOM_HOME": str(home),
        "DARKROOM_API_PORT": str(port),
        "DARKROOM_DATABASE_URL": database_url,
        "DARKROOM_LOG_LEVEL": "WARNING",
        "DARKROOM_MLFLOW_URL": "http://127.0.0.1:9",  # nothing calls it; runs and versions show their copies
    }
    command = ["taskset", "-c", str(API_CORE), sys.executable, "-m", "api"]
    with (home / "api.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        yield Server(url, process.pid, home, database_url)
    finally:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            httpx.get(f"{url}/health", trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the service did not start within 60 s")
