"""The line between the pool and a decoding process: lists of tasks go down, one answer for each comes up.

Our end never blocks: a process that stops in the middle of an answer holds nobody up. Answers are plain values, and
are read as such: a decoder that was taken over has nothing run here.
"""

import io
import os
import pickle
import select
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.decode.fork_server import LENGTH

_PAUSE_SECONDS = 0.01  # answers are taken a handful at once: each alone would wake us 1,000 times a second
_MAX_ANSWER = 1024**3  # bytes; an image that is written anew has at most half of it
_READ = 1 << 20  # bytes of answers taken at once


class Broken(Exception):
    """The process has ended, or says what is no answer."""


@dataclass(slots=True, eq=False)
class DecodeLine:
    """Our end. What the process did not take yet is `unsent`, what is no whole answer yet `heard`."""

    connection: socket.socket
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
        while at + LENGTH.size <= len(heard):
            (length,) = LENGTH.unpack_from(heard, at)
            if length > _MAX_ANSWER:
                raise Broken
            start, end = at + LENGTH.size, at + LENGTH.size + length
            if end > len(heard):
                break
            with memoryview(heard) as view, view[start:end] as content:
                answer = _loaded(content)
            at = end
            yield answer
        del heard[:at]


def pause(lines: Mapping[DecodeLine, bool]) -> None:
    """Shorter where large tasks can go or the rest of a large answer comes; or any answer, on the lines marked so."""
    rest = select.poll()
    for line, any_answer in lines.items():
        events = (select.POLLIN if line.heard or any_answer else 0) | (select.POLLOUT if line.unsent else 0)
        if events:
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
