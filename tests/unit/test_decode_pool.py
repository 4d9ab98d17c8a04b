"""Decoding processes: a picture that kills one, or never ends, costs itself and nothing else."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline import decode_line, decode_pool
from pipeline.dataset import SourceFile
from pipeline.decode_pool import Crash, decode_all
from pipeline.inspect_ahead import InspectAhead, inspect_all
from tests.builders import picture, voc_zip
from tests.decoding import double, half_an_answer, runs_code


def _file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return SourceFile(path.name, str(path), len(content), "")


def _pictures(tmp_path: Path, count: int) -> list[SourceFile]:
    return [_file(tmp_path / f"{number:03d}.jpg", picture(seed=number)) for number in range(count)]


def _endless(tmp_path: Path, size: int = 1) -> SourceFile:
    """A pipe that nobody writes to: reading it hangs, as a decoder may."""
    path = tmp_path / "endless.jpg"
    os.mkfifo(path)
    return SourceFile(path.name, str(path), size, "")


@contextmanager
def _killing(path: Path, *, times: int, then: bytes | None = None) -> Iterator[None]:
    """Kills so many processes, each once it reads `path`; the file holds `then` from there on."""

    def kill() -> None:
        for number in range(times):
            with path.open("wb"):  # waits until somebody reads it
                if number == times - 1 and then is not None:
                    path.unlink()
                    path.write_bytes(then)
                for process in multiprocessing.active_children():
                    process.kill()
                    process.join()

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()


def test_facts_come_in_the_order_of_the_pictures(tmp_path: Path) -> None:
    sizes = [(10 + number, 200 - number) for number in range(100)]
    files = [_file(tmp_path / f"{number}.jpg", picture(size=size)) for number, size in enumerate(sizes)]
    facts = inspect_all(files, processes=2, tick=lambda *_: None)
    assert [(fact.width, fact.height) for fact in facts] == sizes


def test_a_decoder_that_dies_costs_one_picture(tmp_path: Path) -> None:
    files = _pictures(tmp_path, 40)
    files.insert(17, _endless(tmp_path))
    with _killing(tmp_path / "endless.jpg", times=2):
        facts = inspect_all(files, processes=1, tick=lambda *_: None)
    problems = {number: fact.problem[0] for number, fact in enumerate(facts) if fact.problem}
    assert problems == {17: "image-crashes-decoder"}


def test_a_picture_whose_decoder_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    """As the system kills for want of memory: the second time the picture is whole."""
    content = picture()
    endless = _endless(tmp_path, size=len(content))
    with _killing(tmp_path / "endless.jpg", times=1, then=content):
        facts = inspect_all([*_pictures(tmp_path, 3), endless], processes=1, tick=lambda *_: None)
    assert [fact.problem for fact in facts] == [None] * 4


def test_a_decoder_that_died_while_it_was_idle_costs_no_picture(tmp_path: Path) -> None:
    with InspectAhead(1) as ahead:
        first, second = _pictures(tmp_path, 2)
        ahead.add([first])
        ahead.facts([first], lambda *_: None)
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
        ahead.add([second])
        assert [fact.problem for fact in ahead.facts([first, second], lambda *_: None)] == [None, None]


@pytest.mark.parametrize("task", ["end", "hang"])
def test_half_an_answer_costs_the_task_and_holds_nobody_up(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 3.0)
    answers = decode_all(half_an_answer, ["whole", task, "whole"], processes=1, tick=lambda *_: None)
    assert [isinstance(answer, Crash) for answer in answers] == [False, True, False]


def test_an_answer_is_plain_values_or_none_at_all() -> None:
    answers = decode_all(runs_code, ["a", "code", "b"], processes=1, tick=lambda *_: None)
    assert answers[0] == "a" and isinstance(answers[1], Crash) and answers[2] == "b"


def test_large_tasks_and_large_answers_go_past_each_other() -> None:
    tasks = [bytes([number]) * 1_000_000 for number in range(4)]
    assert decode_all(double, tasks, processes=1, tick=lambda *_: None) == [task * 2 for task in tasks]


def test_a_decoder_may_take_only_so_much_memory_and_write_no_file(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def look_once_stuck() -> None:
        for seconds in (2, 3):  # a picture is blamed the second time
            time.sleep(seconds)
            for process in multiprocessing.active_children():
                watched = psutil.Process(process.pid)
                seen["memory"] = watched.rlimit(psutil.RLIMIT_AS)
                seen["file"] = watched.rlimit(psutil.RLIMIT_FSIZE)
                process.kill()

    watcher = threading.Thread(target=look_once_stuck)
    watcher.start()
    inspect_all([_endless(tmp_path)], processes=1, tick=lambda *_: None)
    watcher.join()
    assert seen == {"memory": (decode_line.MEMORY_BYTES,) * 2, "file": (0, 0)}


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
