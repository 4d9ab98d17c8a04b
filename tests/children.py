"""The child processes of a process, by a word of their command line."""

from collections.abc import Iterator
from contextlib import suppress

import psutil


def running_children(*words: str, of: int | None = None) -> list[psutil.Process]:
    """Of this process, or of the one with the id `of`; those that end while they are read are left out."""
    return list(_running(psutil.Process(of).children(), words))


def _running(processes: list[psutil.Process], words: tuple[str, ...]) -> Iterator[psutil.Process]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and set(words) <= set(process.cmdline()):
                yield process


def supervised_child(*words: str, of: int | None = None) -> psutil.Process | None:
    """The child in which a worker has its work done; None where it has none."""
    return next(iter(running_children("--supervised", *words, of=of)), None)
