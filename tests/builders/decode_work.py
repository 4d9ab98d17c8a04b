"""Tasks for decoding processes, which import this module: it imports nothing large. And what finds those processes."""

import os
import pickle
import resource
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def half_a_reply(task: str) -> bytes:
    """Like a decoder that was taken over: a part of a message on each of its sockets, then the end or silence."""
    if task == "whole":
        return b"whole"
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, struct.pack("!i", 100) + b"half")
    if task == "end":
        os._exit(0)
    time.sleep(60)
    return b""


class Armed:
    """Makes a folder wherever it is unpickled."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._folder,)


def hostile_reply(folder: str) -> bytes:
    return pickle.dumps(Armed(folder))


def stuck(task: tuple[str, int]) -> bytes:
    """Does not end the first `times` times. Each beginning leaves a file in a folder, called 0, 1 and so on."""
    folder, times = task
    begun = len(os.listdir(folder))
    if begun < times:
        os.close(os.open(f"{folder}/{begun}", os.O_CREAT | os.O_WRONLY))  # an empty file is nothing written
        time.sleep(60)
    return b"whole"


def double(task: bytes) -> bytes:
    return task * 2


def servers() -> list[psutil.Process]:
    """The fork server, and multiprocessing's resource tracker: they live as long as this process."""
    return fork_servers() + _running_modules("multiprocessing.resource_tracker")


def fork_servers() -> list[psutil.Process]:
    return _running_modules("multiprocessing.forkserver")


def _running_modules(name: str) -> list[psutil.Process]:
    return [each for each in _running(psutil.Process().children()) if name in " ".join(each.cmdline())]


def decoding_processes() -> list[psutil.Process]:
    return [each for server in fork_servers() for each in _running(server.children())]


def kill_stuck(folder: Path, times: int) -> None:
    for number in range(times):
        while not (folder / str(number)).exists():
            time.sleep(0.001)
        kill(decoding_processes())


def kill(processes: list[psutil.Process]) -> None:
    """And wait until they are dead; their parent reaps them."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    while _running(processes):
        time.sleep(0.001)


def _running(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def pages_taken_again(task: int) -> bytes:
    """How many pages of memory the system gives for a block of `task` bytes, once one as large was freed."""
    len(b"x" * task)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    len(b"x" * task)
    return str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before).encode()
