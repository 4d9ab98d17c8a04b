"""Work for decoding processes, which import this module: it imports nothing large. And a look at those processes."""

import os
import stat
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def half_an_answer(task: str) -> bytes:
    """As a decoder that was taken over: a part of an answer on each of its sockets, then the end or nothing more."""
    if task == "whole":
        return b"whole"
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, struct.pack(">Q", 100) + b"half")
    if task == "end":
        os._exit(0)
    time.sleep(60)
    return b""


def runs_code(task: str) -> Any:
    return subprocess.Popen if task == "code" else task


def stuck(task: tuple[str, int]) -> str:
    """Does not end, so many times. That it has begun is seen by files in a folder, called 0, 1 and so on."""
    folder, times = task
    begun = len(os.listdir(folder))
    if begun < times:
        os.close(os.open(f"{folder}/{begun}", os.O_CREAT | os.O_WRONLY))  # an empty file is nothing written
        time.sleep(60)
    return "whole"


def servers() -> list[psutil.Process]:
    """Those that this process has started; they live as long as it does."""
    return [each for each in _running(psutil.Process().children()) if "decoder_server" in " ".join(each.cmdline())]


def decoding_processes() -> list[psutil.Process]:
    return [each for server in servers() for each in _running(server.children())]


def kill_stuck(folder: Path, times: int) -> None:
    for number in range(times):
        while not (folder / str(number)).exists():
            time.sleep(0.001)
        kill(decoding_processes())


def kill(processes: list[psutil.Process]) -> None:
    """And wait until they are dead; whose children they are sees to the rest."""
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


def double(task: bytes) -> bytes:
    return task * 2
