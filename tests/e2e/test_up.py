"""`make up`, as a person starts and stops it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.stack import IDLE_GOAL_BYTES, idle_bytes
from deploy.local.private_stack import free_ports
from deploy.local.up import MLFLOW_IS_OPEN
from pipeline.samples.scenes import write_archive
from tests.servers.processes import alive, commands, marked
from tests.waiting import wait_until

Up = Callable[..., subprocess.Popen[str]]
WORKERS = ("worker prepare", "worker train", "worker operatio", "worker housekee")  # names end at 15 bytes
PARTS = ("valkey-server", "python -m api", "python -m serving", *WORKERS, "mlflow_server")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start a stack on ports and in a home of its own; what a test leaves running is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(**settings: str | int) -> subprocess.Popen[str]:
        ports = dict(zip(("API_PORT", "SERVING_PORT", "MLFLOW_PORT"), free_ports(3), strict=True))
        chosen = {"HOME": tmp_path / "home", **ports, **settings}
        with (tmp_path / "stack.log").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.up"],
                env={**os.environ, **{f"DARKROOM_{name}": str(value) for name, value in chosen.items()}},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for left in marked(process.pid):
            with suppress(psutil.NoSuchProcess):  # it was ending by itself
                left.kill()


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_training_leaves_no_process(up: Up, tmp_path: Path) -> None:
    stack = up()
    _wait_until_ready(stack, tmp_path)
    _start_training(tmp_path)
    wait_until(lambda: "pipeline train" in commands(marked(stack.pid)), seconds=60, what=lambda: _log(tmp_path))
    before = marked(stack.pid)
    assert [part for part in PARTS if part not in commands(before)] == []
    assert _addresses(tmp_path)["serving"] in _log(tmp_path)

    stack.send_signal(signal.SIGINT)
    assert stack.wait(timeout=25) == 0
    assert commands(alive(before) + marked(stack.pid)) == ""
    assert list(Path(tempfile.gettempdir()).glob(f"darkroom-{stack.pid}-*")) == []
    assert "Stopping" in _log(tmp_path)


@pytest.mark.slow
def test_a_killed_launcher_takes_everything_with_it(up: Up, tmp_path: Path) -> None:
    stack = up()
    _wait_until_ready(stack, tmp_path)
    _start_training(tmp_path)
    wait_until(lambda: "pipeline train" in commands(marked(stack.pid)), seconds=60, what=lambda: _log(tmp_path))
    before = marked(stack.pid)
    stack.kill()
    stack.wait()
    wait_until(lambda: not alive(before) + marked(stack.pid), seconds=20, what=lambda: commands(alive(before)))


@pytest.mark.slow
def test_a_killed_part_comes_back(up: Up, tmp_path: Path) -> None:
    stack = up(
        MLFLOW_URL="http://127.0.0.1:9"
    )  # another server, which is down: none is started, and the other parts run without it
    _wait_until_it_answers(tmp_path)
    for part in ("python -m api", "python -m serving", "valkey-server", "worker train"):
        first = _the_one(stack, part)
        assert first is not None, _log(tmp_path)
        first.kill()
        wait_until(_came_back(stack, part, first), seconds=10, what=lambda: _log(tmp_path))
    _wait_until_it_answers(tmp_path)
    assert "mlflow" not in commands(marked(stack.pid))
    stack.terminate()
    assert stack.wait(timeout=25) == 0
    assert commands(marked(stack.pid)) == ""


def test_a_taken_port_is_refused_with_the_setting_to_change(up: Up, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = up(API_PORT=port, SERVING_PORT=port)
        assert stack.wait(timeout=20) == 1
    for name in ("API", "SERVING"):
        assert f"is in use. Set DARKROOM_{name}_PORT to a free port." in _log(tmp_path)


@pytest.mark.slow
def test_an_idle_stack_is_small_and_has_loaded_no_engine(up: Up, tmp_path: Path) -> None:
    stack = up()
    _wait_until_ready(stack, tmp_path)
    memory = idle_bytes(psutil.Process(stack.pid))
    assert sum(memory.values()) < IDLE_GOAL_BYTES, memory
    mapped = {Path(each.path).name for part in marked(stack.pid) for each in part.memory_maps()}
    assert [name for name in mapped if "onnxruntime" in name or "openvino" in name or "torch" in name] == []


@pytest.mark.slow
def test_a_second_stack_on_the_same_home_is_refused(up: Up, tmp_path: Path) -> None:
    elsewhere = "http://127.0.0.1:9"
    first = up(MLFLOW_URL=elsewhere, SERVING_URL=elsewhere)
    _wait_until_it_answers(tmp_path)
    assert "python -m serving" not in commands(marked(first.pid))
    second = up(MLFLOW_URL=elsewhere)
    assert second.wait(timeout=20) == 1
    assert "Another stack runs in" in _log(tmp_path)
    assert str(first.pid) in _log(tmp_path)


def _wait_until_ready(stack: subprocess.Popen[str], tmp_path: Path) -> None:
    wait_until(lambda: "Darkroom is ready" in _log(tmp_path), seconds=90, what=lambda: _log(tmp_path))
    assert MLFLOW_IS_OPEN in _log(tmp_path)
    assert stack.poll() is None


def _wait_until_it_answers(tmp_path: Path) -> None:
    def answers() -> bool:
        try:
            return httpx.get(f"{_api(tmp_path)}/health").is_success
        except (httpx.HTTPError, OSError, ValueError):  # no stack.json yet, or an empty one
            return False

    wait_until(answers, seconds=60, what=lambda: _log(tmp_path))


def _start_training(tmp_path: Path) -> None:
    write_archive(tmp_path / "set.zip", scenes=12, seed=0)
    with (tmp_path / "set.zip").open("rb") as file:
        job = _json(httpx.post(f"{_api(tmp_path)}/upload-dataset?wait=60", files={"file": file}, timeout=90))
    assert job["state"] == "ready"
    params = {"model": "yolov8n", "pretrained": "never", "epochs": 500, "imgsz": 64}
    _json(httpx.post(f"{_api(tmp_path)}/train-async/{job['job_id']}", json={"params": params}, timeout=30))


def _the_one(stack: subprocess.Popen[str], part: str) -> psutil.Process | None:
    """The part itself, not its process supervisor, whose command line names it too."""
    found = [
        p for p in marked(stack.pid) if part in commands([p]) and "deploy.local.restart_on_exit" not in commands([p])
    ]
    return found[0] if found else None


def _came_back(stack: subprocess.Popen[str], part: str, first: psutil.Process) -> Callable[[], bool]:
    return lambda: _the_one(stack, part) not in (None, first)


def _json(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def _api(tmp_path: Path) -> str:
    return _addresses(tmp_path)["api"]


def _addresses(tmp_path: Path) -> dict[str, str]:
    """From the file that the running stack writes."""
    addresses: dict[str, str] = json.loads((tmp_path / "home" / "stack.json").read_text())
    return addresses


def _log(tmp_path: Path) -> str:
    return (tmp_path / "stack.log").read_text(errors="replace")
