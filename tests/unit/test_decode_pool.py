"""Decoding processes: a picture that kills one, or never ends, costs itself and nothing else."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline import decode_pool
from pipeline.dataset import SourceFile
from pipeline.decode_pool import inspect_all
from tests.builders import picture, voc_zip


def _file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return SourceFile(path.name, str(path), len(content), "")


def _pictures(tmp_path: Path, count: int) -> list[SourceFile]:
    return [_file(tmp_path / f"{number:03d}.jpg", picture(seed=number)) for number in range(count)]


def _endless(tmp_path: Path) -> SourceFile:
    """A pipe that nobody writes to: reading it hangs, as a decoder may."""
    path = tmp_path / "endless.jpg"
    os.mkfifo(path)
    return SourceFile(path.name, str(path), 1, "")


def test_facts_come_in_the_order_of_the_pictures(tmp_path: Path) -> None:
    sizes = [(10 + number, 200 - number) for number in range(100)]
    files = [_file(tmp_path / f"{number}.jpg", picture(size=size)) for number, size in enumerate(sizes)]
    facts = inspect_all(files, processes=2, tick=lambda *_: None)
    assert [(fact.width, fact.height) for fact in facts] == sizes


def test_a_decoder_that_dies_costs_one_picture(tmp_path: Path) -> None:
    files = _pictures(tmp_path, 40)
    files.insert(17, _endless(tmp_path))

    def kill_once_stuck() -> None:
        time.sleep(2)
        for process in multiprocessing.active_children():
            process.kill()

    killer = threading.Thread(target=kill_once_stuck)
    killer.start()
    facts = inspect_all(files, processes=1, tick=lambda *_: None)
    killer.join()
    problems = {number: fact.problem[0] for number, fact in enumerate(facts) if fact.problem}
    assert problems == {17: "image-crashes-decoder"}


def test_a_decoder_may_take_only_so_much_memory_and_write_no_file(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def look_once_stuck() -> None:
        time.sleep(2)
        for process in multiprocessing.active_children():
            watched = psutil.Process(process.pid)
            seen["memory"] = watched.rlimit(psutil.RLIMIT_AS)
            seen["file"] = watched.rlimit(psutil.RLIMIT_FSIZE)
            process.kill()

    watcher = threading.Thread(target=look_once_stuck)
    watcher.start()
    inspect_all([_endless(tmp_path)], processes=1, tick=lambda *_: None)
    watcher.join()
    assert seen == {"memory": (decode_pool.MEMORY_BYTES,) * 2, "file": (0, 0)}


def test_a_picture_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 2.0)
    facts = inspect_all([_endless(tmp_path), *_pictures(tmp_path, 5)], processes=1, tick=lambda *_: None)
    assert [bool(fact.problem) for fact in facts] == [True, False, False, False, False, False]
    assert not multiprocessing.active_children()


def test_a_temporary_folder_with_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    command = [sys.executable, "-m", "pipeline", "fingerprint", str(voc_zip(tmp_path / "data.zip"))]
    done = subprocess.run(
        command, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
