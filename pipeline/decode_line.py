"""The line between the pool and a decoding process: lists of tasks go down, one answer for each comes up.

Our end never blocks: a process that stops in the middle of an answer holds nobody up. Answers are plain values, and
are read as such: a decoder that was taken over has nothing run here.
"""

import io
import os
import pickle
import resource
import select
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB

_PAUSE_SECONDS = 0.01  # answers are taken a handful at once: each alone would wake us 1,000 times a second
_MAX_ANSWER = 1024**3  # bytes; a picture that is written anew has at most half of it
_LENGTH = struct.Struct(">Q")  # before each answer
_READ = 1 << 20  # bytes of answers taken at once


class Broken(Exception):
    """The process has ended, or says what is no answer."""


@dataclass(slots=True)
class DecodeLine:
    """Our end. What the process did not take yet is `unsent`, what is no whole answer yet `heard`."""

    connection: Connection
    unsent: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        os.set_blocking(self.connection.fileno(), False)

    def say(self, tasks: list[Any]) -> None:
        self.unsent += pickle.dumps(tasks)

    def flush(self) -> None:
        """As much as it takes now."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.connection.fileno(), self.unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.unsent.clear()  # it died before its work; `hear` sees it

    def hear(self) -> bool:
        """Read what is there, a megabyte at most. False when there is nothing now; raises Broken when it is the end."""
        try:
            content = os.read(self.connection.fileno(), _READ)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Broken from error
        if not content:
            raise Broken
        self.heard += content
        return True

    def answers(self) -> Iterator[Any]:
        """The whole ones of what was heard. Raises Broken."""
        at, heard = 0, self.heard
        while at + _LENGTH.size <= len(heard):
            (length,) = _LENGTH.unpack_from(heard, at)
            if length > _MAX_ANSWER:
                raise Broken
            start, end = at + _LENGTH.size, at + _LENGTH.size + length
            if end > len(heard):
                break
            with memoryview(heard) as view, view[start:end] as content:
                answer = _loaded(content)
            at = end
            yield answer
        del heard[:at]


def pause(lines: Sequence[DecodeLine]) -> None:
    """Shorter where the rest of a large answer comes, or of large tasks can go."""
    rest = select.poll()
    for line in lines:
        if line.heard or line.unsent:
            events = (select.POLLIN if line.heard else 0) | (select.POLLOUT if line.unsent else 0)
            rest.register(line.connection.fileno(), events)
    rest.poll(_PAUSE_SECONDS * 1000)


class _Plain(pickle.Unpickler):
    """Numbers, texts, bytes and tuples of them."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value.")


def _loaded(content: memoryview) -> Any:
    try:
        return _Plain(io.BytesIO(content)).load()
    except Exception as error:  # bytes that are no pickle raise nearly anything, and all of it means this
        raise Broken from error


def serve(line: Connection, work: Callable[[Any], Any]) -> None:
    """The decoding process: says that it is there; then lists of tasks come, one answer for each goes back."""
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters is said by the facts
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder that was taken over writes no file
    try:
        _answer(line, None)
        with open(line.fileno(), "rb", closefd=False) as tasks:
            while True:
                for task in pickle.load(tasks):  # noqa: S301 - of our own making
                    _answer(line, work(task))
    except (EOFError, OSError, pickle.UnpicklingError, KeyboardInterrupt):
        return  # the parent is done, or gone


def _answer(line: Connection, answer: Any) -> None:
    content = pickle.dumps(answer)
    head = _LENGTH.pack(len(content))
    for part in [head + content] if len(content) < _READ else [head, content]:  # what is large is not copied
        left = memoryview(part)
        while left:
            left = left[os.write(line.fileno(), left) :]
