"""Decoding processes: an image that kills one, or never ends, costs itself and nothing else."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.archive.source import SourceFile
from pipeline.decode import child
from pipeline.decode import pool as decode_pool
from pipeline.decode.image_facts import ImageFacts, pack, unpack
from pipeline.decode.inspect_ahead import InspectAhead, inspect_all
from pipeline.decode.pool import NOT_NEEDED, Crash, DecodePool, MalformedReply, decode_all
from tests.builders.decode_work import (
    decoding_processes,
    double,
    fork_servers,
    half_a_reply,
    hostile_reply,
    kill,
    kill_stuck,
    pages_taken_again,
    stuck,
)
from tests.builders.voc import image_bytes


def decoded(work: Callable[[Any], bytes], tasks: list[Any]) -> list[bytes | Crash]:
    return decode_all(work, tasks, parse=bytes, processes=1, tick=lambda *_: None)


def inspected(files: list[SourceFile], processes: int = 1) -> list[ImageFacts]:
    return inspect_all(files, processes=processes, tick=lambda *_: None)


def _file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return SourceFile(path.name, str(path), len(content), "")


def _images(tmp_path: Path, count: int) -> list[SourceFile]:
    return [_file(tmp_path / f"{number:03d}.jpg", image_bytes(seed=number)) for number in range(count)]


def _endless(tmp_path: Path) -> SourceFile:
    """A pipe without a writer: reading it hangs, as a decoder may."""
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
    assert [(fact.width, fact.height) for fact in inspected(files, processes=2)] == sizes


def test_a_decoder_that_dies_costs_one_image(tmp_path: Path) -> None:
    files = _images(tmp_path, 40)
    files.insert(17, SourceFile("gone.jpg", str(tmp_path / "gone.jpg"), 1, ""))  # a process that reads it ends
    problems = {number: fact.problem for number, fact in enumerate(inspected(files)) if fact.problem}
    assert problems == {17: ("image-crashes-decoder", "Decoding it ended the process (exit status 1).")}


@pytest.mark.parametrize(("times", "crashes"), [(1, [False, False, False]), (2, [False, True, False])])
def test_a_task_whose_process_was_killed_once_is_done_again(times: int, crashes: list[bool], tmp_path: Path) -> None:
    """As the system kills for want of memory: the second time it is whole."""
    whole = tmp_path / "whole"
    whole.mkdir()
    folder = tmp_path / "stuck"
    folder.mkdir()
    with _beside(kill_stuck, folder, times):
        answers = decoded(stuck, [(str(whole), 0), (str(folder), times), (str(whole), 0)])
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
def test_half_a_reply_costs_the_task_and_holds_nothing_up(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 2.0)
    answers = decoded(half_a_reply, ["whole", task, "whole"])
    assert [isinstance(answer, Crash) for answer in answers] == [False, True, False]


def test_no_reply_is_unpickled(tmp_path: Path) -> None:
    def parse(reply: bytes) -> ImageFacts:
        try:
            return unpack(reply)[0]
        except ValueError as error:
            raise MalformedReply from error

    answers = decode_all(hostile_reply, [str(tmp_path / "fired")], parse=parse, processes=1, tick=lambda *_: None)
    assert answers == [Crash("made the process send a malformed reply")]
    assert not (tmp_path / "fired").exists()


FACTS = ImageFacts(640, 480, "JPEG", "RGB", 6, 2, ("image-truncated", "It ends early."), bytes(range(32)))
FACTS = FACTS._replace(brightness=0.5, blur=0.25)


@pytest.mark.parametrize("png", [None, b"\x89PNG\n\n"])
def test_facts_are_read_as_they_were_sent(png: bytes | None) -> None:
    assert unpack(pack(FACTS, png)) == (FACTS, png)
    assert unpack(pack(ImageFacts(), png)) == (ImageFacts(), png)
    huge = ImageFacts(2**32 - 1, 20, "PNG", problem=("image-too-large", "4294967295 x 20 pixels."))
    assert unpack(pack(huge, png)) == (huge, png)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        *((0, value) for value in (-1, 2**63, 1.5, True, "1", None, [])),
        *((2, value) for value in (1, None, ["JPEG"])),
        (4, 9),
        *((6, value) for value in ("ab", [], ["image-truncated"], ["no-such-code", ""], ["image-empty", 1], [[], ""])),
        *((7, value) for value in ("00", "zz" * 32, 1, True)),
        *((14, value) for value in ("0.5", None, True, -0.1, 1.1, float("nan"), float("inf"))),
    ],
)
def test_facts_with_a_value_of_another_type_or_range_are_malformed(position: int, value: object) -> None:
    fields = [*FACTS[:7], "00" * 32, *FACTS[8:15]]
    assert unpack(json.dumps(fields).encode())[0].blur == FACTS.blur
    fields[position] = value
    with pytest.raises(ValueError):
        unpack(json.dumps(fields).encode())


@pytest.mark.parametrize("reply", [b"", b"{}", b"[]", b"\xff\n", b"[" * 100_000, b"[" + b"1" * 5000 + b"]"])
def test_bytes_that_are_no_facts_are_malformed(reply: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(reply)


def test_large_tasks_and_large_replies_do_not_block_each_other() -> None:
    tasks = [bytes([number]) * 1_000_000 for number in range(4)]
    assert decoded(double, tasks) == [task * 2 for task in tasks]


def test_a_decoder_has_a_limit_of_memory_and_writes_no_file(tmp_path: Path) -> None:
    limits: dict[str, tuple[int, int]] = {}

    def read_limits() -> None:
        for number in range(2):  # an image is blamed the second time
            while not (tmp_path / "stuck" / str(number)).exists():
                time.sleep(0.001)
            (process,) = decoding_processes()
            limits["memory"] = process.rlimit(psutil.RLIMIT_AS)
            limits["file"] = process.rlimit(psutil.RLIMIT_FSIZE)
            kill([process])

    (tmp_path / "stuck").mkdir()
    with _beside(read_limits):
        decoded(stuck, [(str(tmp_path / "stuck"), 2)])
    assert limits == {"memory": (child.MEMORY_BYTES,) * 2, "file": (0, 0)}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt(3) is a function of glibc")
def test_memory_of_one_image_is_that_of_the_next() -> None:
    megabytes = [1, 4, 16]
    for size, pages in zip(megabytes, decoded(pages_taken_again, [size << 20 for size in megabytes]), strict=True):
        assert isinstance(pages, bytes) and int(pages) < size << 20 >> 14, "a quarter of its pages of 4 KiB"


def test_an_image_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 2.0)
    facts = inspected([_endless(tmp_path), *_images(tmp_path, 5)])
    assert [bool(fact.problem) for fact in facts] == [True, False, False, False, False, False]
    assert not decoding_processes()


def test_a_fork_server_that_died_is_started_again(tmp_path: Path) -> None:
    first, second = _images(tmp_path, 2)
    assert [fact.problem for fact in inspected([first])] == [None]
    kill(fork_servers())
    assert [fact.problem for fact in inspected([second])] == [None]
    assert len(fork_servers()) == 1


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1])
def test_a_fork_server_that_dies_while_it_starts_costs_no_image(pause: float, tmp_path: Path) -> None:
    kill(fork_servers())
    files = _images(tmp_path, 3)
    with InspectAhead(1) as ahead:
        ahead.add(files)
        while not fork_servers():
            time.sleep(0.001)
        time.sleep(pause)
        kill(fork_servers())
        assert {fact.problem for fact in ahead.facts(files, lambda *_: None)} == {None}


def test_a_fork_server_that_dies_between_two_tasks_costs_no_image(tmp_path: Path) -> None:
    files = _images(tmp_path, 40)
    with InspectAhead(2) as ahead:
        ahead.add(files[:20])
        ahead.facts(files[:20], lambda *_: None)
        kill(fork_servers())
        ahead.add(files[20:])
        assert {fact.problem for fact in ahead.facts(files, lambda *_: None)} == {None}


def test_a_process_that_is_stuck_ends_even_where_its_fork_server_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_pool, "DECODE_SECONDS", 1.0)
    decoded(double, [b""])  # a server is there
    folder = tmp_path / "stuck"
    folder.mkdir()
    processes: list[psutil.Process] = []

    def kill_server() -> None:
        while not (folder / "0").exists():
            time.sleep(0.001)
        processes.extend(decoding_processes())
        kill(fork_servers())

    with _beside(kill_server):
        answers = decoded(stuck, [(str(folder), 1)])
    assert answers == [Crash("took more than 1 seconds")]
    assert len(processes) == 1 and psutil.wait_procs(processes, timeout=5)[1] == []


def test_a_decoder_is_ended_by_its_own_alarm_where_its_parent_cannot(tmp_path: Path) -> None:
    """Also where C code never returns to the interpreter, whose other threads then do not run."""
    (tmp_path / "stuck").mkdir()
    code = f"""
import time
from multiprocessing import Pipe
from pipeline.decode import child
child._GRACE_SECONDS = 0
ours, theirs = Pipe()
ours.send([({str(tmp_path / "stuck")!r}, 1)])
from tests.builders.decode_work import stuck
child._end_with_parent = lambda: time.sleep(60)
child.serve(theirs, stuck, 1)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False, timeout=30)
    assert process.returncode == -signal.SIGALRM


def test_the_path_of_the_temporary_folder_may_be_longer_than_a_socket_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("t" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert [fact.problem for fact in inspected(_images(tmp_path, 2))] == [None, None]


def test_decoders_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Even where it is killed while a decoder is stuck."""
    folder = tmp_path / "stuck"
    folder.mkdir()
    code = f"""
from pipeline.decode.pool import decode_all
from tests.builders.decode_work import stuck
decode_all(stuck, [({str(folder)!r}, 1)], parse=bytes, processes=1, tick=lambda *_: None)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd()) as process:
        while not (folder / "0").exists():
            time.sleep(0.001)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) == 3  # the fork server, a decoder, and multiprocessing's resource tracker
        process.kill()
        assert psutil.wait_procs(below, timeout=5)[1] == []


def test_tasks_that_are_dropped_are_not_begun() -> None:
    pool = DecodePool(double, parse=bytes, processes=1)
    pool.submit([b"a", b"b", b"c"])
    pool.drop([1])
    with pool:
        assert pool.answers(lambda *_: None) == [b"aa", NOT_NEEDED, b"cc"]
