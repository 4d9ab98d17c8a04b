"""Work for decoding processes: a process imports the module of its work, and this one imports nothing large."""

import os
import stat
import struct
import subprocess
import time
from contextlib import suppress
from typing import Any


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


def double(task: bytes) -> bytes:
    return task * 2
