"""Decoding processes: an image that kills one, or never ends, costs itself and nothing else."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.archive.source import SourceFile
from pipeline.decode import fork_server as decoder_server
from pipeline.decode import pool as decode_pool
from pipeline.decode.pool import Crash, DecodePool, decode_all
from pipeline.decode.prefetch import InspectAhead, inspect_all
from tests.builders.decode_work import (
    decoding_processes,
    double,
    half_an_answer,
    kill,
    kill_stuck,
    runs_code,
    servers,
    stuck,
)
from tests.builders.voc import image_bytes


def _file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return SourceFile(path.name, str(path), len(content), "")


def _images(tmp_path: Path, count: int) -> list[SourceFile]:
    return [_file(tmp_path / f"{number:03d}.jpg", image_bytes(seed=number)) for number in range(count)]


def _endless(tmp_path: Path) -> SourceFile:
    """A pipe that nobody writes to: reading it hangs, as a decoder may."""
    path = tmp_path / "endless.jpg"
    os.mkfifo(path)
    return SourceFile(path.name, str(path), 1, "")


@contextmanager
def _beside(work: Callable[..., None], *args: Any) -> Iterator[None]:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    yield
    thread.join()


def test_facts_come_in_the_order_of_the_images(tmp_path: Path) -> None:
    sizes = [(10 + number, 200 - number) for number in range(100)]
    files = [_file(tmp_path / f"{number}.jpg", image_bytes(size=size)) for number, size in enumerate(sizes)]
    facts = inspect_all(files, processes=2, tick=lambda *_: None)
    assert [(fact.width, fact.height) for fact in facts] == sizes


def test_a_decoder_that_dies_costs_one_image(tmp_path: Path) -> None:
    files = _images(tmp_path, 40)
    files.insert(17, SourceFile("gone.jpg", str(tmp_path / "gone.jpg"), 1, ""))  # whoever reads it ends
    facts = inspect_all(files, processes=1, tick=lambda *_: None)
    problems = {number: fact.problem for number, fact in enumerate(facts) if fact.problem}
    assert problems == {17: ("image-crashes-decoder", "Decoding it ended the process (exit status 1).")}


@pytest.mark.parametrize(("times", "crashes"), [(1, [False, False, False]), (2, [False, True, False])])
def test_work_whose_process_was_killed_once_is_done_again(times: int, crashes: list[bool], tmp_path: Path) -> None:
    """As the system kills for want of memory: the second time it is whole."""
    whole = tmp_path / "whole"
    whole.mkdir()
    folder = tmp_path / "stuck"
    folder.mkdir()
    tasks = [(str(whole), 0), (str(folder), times), (str(whole), 0)]
    with _beside(kill_stuck, folder, times):
        answers = decode_all(stuck, tasks, processes=1, tick=lambda *_: None)
    assert [isinstance(answer, Crash) for answer in answers] == crashes
    assert all("exit status -9" in answer.why for answer in answers if isinstance(answer, Crash))


def test_a_decoder_that_died_while_it_was_idle_costs_no_image(tmp_path: Path) -> None:
    with InspectAhead(1) as ahead:
        first, second = _images(tmp_path, 2)
        ahead.add([first])
        ahead.facts([first], lambda *_: None)
        kill(decoding_processes())
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
        for number in range(2):  # an image is blamed the second time
            while not (tmp_path / "stuck" / str(number)).exists():
                time.sleep(0.001)
            (process,) = decoding_processes()
            seen["memory"] = process.rlimit(psutil.RLIMIT_AS)
            seen["file"] = process.rlimit(psutil.RLIMIT_FSIZE)
            kill([process])

    (tmp_path / "stuck").mkdir()
    with _beside(look_once_stuck):
        decode_all(stuck, [(str(tmp_path / "stuck"), 2)], processes=1, tick=lambda *_: None)
    assert seen == {"memory": (decoder_server.MEMORY_BYTES,) * 2, "file": (0, 0)}


def test_a_image_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 2.0)
    facts = inspect_all([_endless(tmp_path), *_images(tmp_path, 5)], processes=1, tick=lambda *_: None)
    assert [bool(fact.problem) for fact in facts] == [True, False, False, False, False, False]
    assert not decoding_processes()


def test_a_server_that_died_is_started_again(tmp_path: Path) -> None:
    first, second = _images(tmp_path, 2)
    assert [fact.problem for fact in inspect_all([first], processes=1, tick=lambda *_: None)] == [None]
    kill(servers())
    assert [fact.problem for fact in inspect_all([second], processes=1, tick=lambda *_: None)] == [None]
    assert len(servers()) == 1


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1])
def test_a_server_that_dies_while_it_starts_costs_no_image(pause: float, tmp_path: Path) -> None:
    kill(servers())
    files = _images(tmp_path, 3)
    with InspectAhead(1) as ahead:
        ahead.add(files)
        while not servers():
            time.sleep(0.001)
        time.sleep(pause)
        kill(servers())
        assert {fact.problem for fact in ahead.facts(files, lambda *_: None)} == {None}


def test_a_process_that_is_stuck_ends_even_where_its_server_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 1.0)
    decode_all(double, [b""], processes=1, tick=lambda *_: None)  # a server is there
    folder = tmp_path / "stuck"
    folder.mkdir()
    processes: list[psutil.Process] = []

    def kill_server() -> None:
        while not (folder / "0").exists():
            time.sleep(0.001)
        processes.extend(decoding_processes())
        kill(servers())

    with _beside(kill_server):
        (answer,) = decode_all(stuck, [(str(folder), 1)], processes=1, tick=lambda *_: None)
    assert answer == Crash("took more than 1 seconds")
    assert len(processes) == 1 and psutil.wait_procs(processes, timeout=5)[1] == []


def test_nobody_turns_in_vain_while_a_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has nothing to do, and was started anew: what it says of itself wakes nobody again and again."""
    turns = 0
    turn = DecodePool._turn

    def counted(pool: DecodePool[Any, Any]) -> None:
        nonlocal turns
        turns += 1
        turn(pool)

    monkeypatch.setattr(DecodePool, "_turn", counted)
    monkeypatch.setattr(decode_pool, "_WORTH_ONE", 0)  # two tasks have a process each
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 3.0)
    slow, broken = tmp_path / "slow", tmp_path / "broken"
    slow.mkdir()
    with DecodePool[tuple[str, int], str](stuck, 2) as pool:
        pool.submit([(str(slow), 1), (str(broken), 1)])  # there is no such folder: whoever looks there ends
        answers = pool.answers(lambda *_: None)
    assert [answer.why for answer in answers] == ["took more than 3 seconds", "ended the process (exit status 1)"]
    assert turns < 1000


def test_a_server_that_dies_between_two_tasks_costs_no_image(tmp_path: Path) -> None:
    files = _images(tmp_path, 40)
    with InspectAhead(2) as ahead:
        ahead.add(files[:20])
        ahead.facts(files[:20], lambda *_: None)
        kill(servers())
        ahead.add(files[20:])
        assert {fact.problem for fact in ahead.facts(files, lambda *_: None)} == {None}


@pytest.mark.parametrize("ahead", [True, False], ids=["forked ahead", "started when needed"])
def test_whatever_decodes_ends_with_the_process_that_wanted_it(ahead: bool, tmp_path: Path) -> None:
    """Also where it is killed while a decoder is stuck."""
    folder = tmp_path / "stuck"
    folder.mkdir()
    code = f"""
from pipeline.decode.fork_server_start import fork_ahead
if {ahead}:
    fork_ahead()
from pipeline.decode.pool import decode_all
from tests.builders.decode_work import stuck
decode_all(stuck, [({str(folder)!r}, 1)], processes=1, tick=lambda *_: None)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd()) as process:
        while not (folder / "0").exists():
            time.sleep(0.001)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) == 2  # a server, and a decoder
        process.kill()
        assert psutil.wait_procs(below, timeout=5)[1] == []


def test_it_ends_as_well_when_the_server_waits_for_a_decoder_to_end(tmp_path: Path) -> None:
    folder = tmp_path / "stuck"
    folder.mkdir()
    code = f"""
from pipeline.decode.process import DecodingProcess
from tests.builders.decode_work import stuck
import pickle
process = DecodingProcess(stuck)
process.line.sendall(pickle.dumps([({str(folder)!r}, 1)]))
process.end(seconds=3)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd()) as process:
        while not (folder / "0").exists():
            time.sleep(0.001)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) == 2
        process.kill()
        assert psutil.wait_procs(below, timeout=10)[1] == []
