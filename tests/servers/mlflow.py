"""MLflow: a private server over SQLite, as the Procfile starts it; up in 5 s."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from tests.servers import ServerMissing, free_port, stop, wait_until_up


@contextmanager
def mlflow() -> Iterator[str]:
    """A tracking URL."""
    if find_spec("mlflow.server") is None:
        raise ServerMissing("No MLflow server: `pip install mlflow`.")
    with tempfile.TemporaryDirectory(prefix="dr-mlflow-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        url, log = f"http://127.0.0.1:{port}", folder / "log"
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with log.open("ab") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.mlflow_server", str(folder), str(port)],
                env=os.environ | quiet,
                stdout=out,
                stderr=out,
            )
        try:
            wait_until_up(server, lambda: _answers(url), log, seconds=120)  # a busy machine took 29 s
            yield url
        finally:
            stop(server)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
