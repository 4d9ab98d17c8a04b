"""S3: OpenStack Swift's S3 API, all its servers in one private process, up in about 2 s."""

import importlib.util
import os
import secrets
import shutil
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
    if importlib.util.find_spec("swift") is None:
        raise ServerMissing(f"No S3 server: {HOW}.")
    folder = Path(tempfile.mkdtemp(prefix="dr-s3-"))
    port, secret = free_port(), secrets.token_hex(8)
    # eventlet, which Swift runs on, warns that it is old: a process of its own, with warnings off
    command = [sys.executable, "-W", "ignore", "-m", "tests.servers.swift", str(folder), str(port), secret]
    try:
        with (folder / "log").open("wb") as out:
            process = subprocess.Popen(command, cwd=REPOSITORY, stdout=out, stderr=out)
        try:
            endpoint = f"http://127.0.0.1:{port}"
            wait_until_up(process, lambda: _answers(endpoint), folder / "log")
            yield {"s3_endpoint": endpoint, "s3_access_key": "test:tester", "s3_secret_key": secret}
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(endpoint: str) -> bool:
    try:
        httpx.get(endpoint, timeout=2)
    except httpx.TransportError:
        return False
    return True
