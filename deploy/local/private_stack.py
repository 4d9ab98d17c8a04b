"""A private stack: `make up` on free ports and in a home of its own, its output in a file."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from darkroom.desktop import OPEN_VARIABLE
from deploy.local.readiness import READY_SECONDS
from deploy.local.up import ROOT, STOP_SECONDS

LOG_LINES = 40


class DemoFailed(Exception):
    """Its text is printed for a person."""


@dataclass(frozen=True)
class PrivateStack:
    process: subprocess.Popen[bytes]
    api_url: str
    serving_url: str
    mlflow_url: str
    log: Path


def start_stack(home: Path) -> PrivateStack:
    api_port, serving_port, mlflow_port = free_ports(3)
    log = home / "stack.log"
    environment = {
        **os.environ,
        "DARKROOM_HOME": str(home),
        "DARKROOM_API_HOST": "127.0.0.1",
        "DARKROOM_API_PORT": str(api_port),
        "DARKROOM_SERVING_HOST": "127.0.0.1",
        "DARKROOM_SERVING_PORT": str(serving_port),
        "DARKROOM_MLFLOW_PORT": str(mlflow_port),
        OPEN_VARIABLE: "0",  # the demo opens a page itself
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.up"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops the stack
        )
    api_url, serving_url, mlflow_url = (f"http://127.0.0.1:{port}" for port in (api_port, serving_port, mlflow_port))
    return PrivateStack(process, api_url, serving_url, mlflow_url, log)


def wait_until_it_answers(stack: PrivateStack) -> Iterator[str]:
    """Yields what is still missing until the API takes uploads; the parts that start later find the work queued.

    Raises DemoFailed when the stack exits or takes longer than READY_SECONDS.
    """
    ends = time.monotonic() + READY_SECONDS
    while not takes_uploads(stack.api_url):
        yield "waiting for the API"
        if stack.process.poll() is not None:
            raise DemoFailed(f"The stack exited with status {stack.process.returncode} while it was starting.")
        if time.monotonic() > ends:
            raise DemoFailed(f"The API does not answer after {READY_SECONDS:.0f} s.")
        time.sleep(0.25)


def takes_uploads(api_url: str) -> bool:
    """/ready is 200 when database and store work."""
    try:
        return httpx.get(f"{api_url}/ready", timeout=10.0).is_success
    except httpx.HTTPError:
        return False


def stop_stack(stack: PrivateStack) -> None:
    if stack.process.poll() is None:
        stack.process.send_signal(signal.SIGTERM)
    try:
        stack.process.wait(STOP_SECONDS + 5)
    except subprocess.TimeoutExpired:
        stack.process.kill()  # its process supervisors notice that and stop by themselves
        stack.process.wait()


def log_end(stack: PrivateStack) -> str:
    lines = stack.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])


def free_ports(count: int) -> list[int]:
    """Different ports on 127.0.0.1 that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
