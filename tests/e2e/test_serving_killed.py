"""`python -m serving` killed with SIGKILL under load, and started again on the same port."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from core.services.context import open_platform
from core.settings import Settings
from deploy.local.private_stack import free_ports
from tests.builders.colour_models import draw_scenes, export_of
from tests.builders.served import publish

KILLS = 2


def start(home: Path, port: int, model: str) -> "subprocess.Popen[bytes]":
    settings = {"DARKROOM_HOME": str(home), "DARKROOM_SERVING_PORT": str(port), "DARKROOM_SERVING_PRELOAD": model}
    process = subprocess.Popen([sys.executable, "-m", "serving"], env=os.environ | settings)
    for _ in range(600):
        assert process.poll() is None, "it ended"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", timeout=10).is_success:
                return process
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("not ready within 60 s")


@pytest.mark.slow
def test_serving_killed_under_load_answers_rightly_after_its_restart(sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "darkroom.db")
    platform = open_platform(Settings(home=tmp_path))
    model = publish(platform, "squares", export_of("detection", tmp_path / "squares.onnx"))
    platform.db.close()
    (tmp_path / "scenes").mkdir()
    images = [each.file.read_bytes() for each in draw_scenes(tmp_path / "scenes", 8)]
    (port,) = free_ports(1)
    url, seen, wrong = f"http://127.0.0.1:{port}/predict/image", Counter[str](), list[str]()
    process = start(tmp_path, port, model)
    wanted = [httpx.post(url, params={"model": model}, content=each).json()["images"][0]["boxes"] for each in images]
    ended = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(timeout=30) as client:
            while not ended.is_set():
                number += 1
                try:
                    answer = client.post(url, params={"model": model}, content=images[number % 8])
                except httpx.TransportError:
                    seen["cut"] += 1
                    time.sleep(0.05)
                    continue
                seen[str(answer.status_code)] += 1
                if answer.is_success and answer.json()["images"][0]["boxes"] != wanted[number % 8]:
                    wrong.append(answer.text)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for client in clients:
        client.start()
    try:
        for _ in range(KILLS):
            time.sleep(1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            before = seen["200"]
            process = start(tmp_path, port, model)
            for _ in range(100):
                if seen["200"] > before + 50:
                    break
                time.sleep(0.1)
            assert seen["200"] > before + 50, "it answers again"
    finally:
        ended.set()
        for client in clients:
            client.join()
        process.kill()
        process.wait()
    assert not wrong
    assert set(seen) == {"200", "cut"}, seen
    assert seen["cut"] >= KILLS
    parts = [each.name for each in (tmp_path / "cache").rglob("*.part")]
    assert not parts, "nothing is left of a fetch"
