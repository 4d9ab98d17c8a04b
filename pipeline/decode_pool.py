"""Pictures decoded in processes of their own: one that crashes a decoder costs its process, not the job."""

import io
import os
import pickle
import resource
import select
import struct
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from core.domain.errors import PreparationFailed
from pipeline.dataset import SourceFile
from pipeline.decoders import context
from pipeline.facts import ImageFacts
from pipeline.places import Place
from pipeline.space import require_space

BATCH = 64  # pictures sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 120.0  # for one picture; 200 megapixels take about 5, and 50 where they are written anew as PNG
MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB

_AHEAD = 64  # pictures that a process still has when it is sent more: it never waits for us
_PAUSE_SECONDS = 0.01  # answers are taken a handful at once: each alone would wake us 1,000 times a second
_WORTH_ONE = 4  # pictures that wait before another process is started for them
_MAX_ANSWER = 1024**3  # bytes; a picture that is written anew has at most half of it
_LENGTH = struct.Struct(">Q")  # before each answer
_READ = 1 << 20  # bytes of answers taken at once

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Crash:
    """What a task that ended its process, or did not end, has for an answer."""

    why: str


class _Broken(Exception):
    """The process has ended, or says what is no answer."""


@dataclass(slots=True)
class _Decoder:
    """`line` never blocks: a process that stops in the middle of an answer holds nobody up. What it did not take yet
    is `unsent`, what is no whole answer yet `heard`."""

    process: BaseProcess
    line: Connection
    waiting: deque[int] = field(default_factory=deque)
    unsent: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)
    since: float = 0.0
    ready: bool = False


class InspectAhead:
    """Pictures inspected as they come out of the archive, while the rest is still inflated and read.

    Those that trainers would read otherwise are written anew as well: one after the other into the file `converted`;
    without one it is only seen whether they can be.
    """

    def __init__(self, processes: int, converted: Path | None = None) -> None:
        self._converted = _Spool(converted) if converted else None
        work = _inspect_and_convert if converted else _inspect_and_try
        self._pool = DecodePool(work, processes, send=_place, receive=self._facts)
        self._names: list[str] = []

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)
        if self._converted:
            self._converted.close()

    def add(self, files: Iterable[SourceFile]) -> None:
        """Each file once."""
        new = list(files)
        self._names += [file.name for file in new]
        self._pool.submit(new)

    def facts(self, files: list[SourceFile], tick: Callable[[int, int], None]) -> list[ImageFacts]:
        """Of each file that was added, in this order. `tick(done, total)` may raise to stop."""
        answers = dict(zip(self._names, self._pool.answers(tick), strict=True))
        return [answers[file.name] for file in files]

    def _facts(self, answer: "_Inspected | Crash") -> ImageFacts:
        if isinstance(answer, Crash):
            return ImageFacts(problem=("image-crashes-decoder", answer.why))
        fields, png = answer
        facts = ImageFacts(*fields)
        if self._converted and png is not None:
            facts = facts._replace(converted=self._converted.add(png))
        return facts._replace(format=sys.intern(facts.format), mode=sys.intern(facts.mode))  # not 100,000 times "JPEG"


class _Spool:
    """Contents one after the other in a file that is there from the first one on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._end = 0

    def add(self, content: bytes) -> Place:
        """Raises OutOfSpace, OSError."""
        require_space(self._path.parent, len(content))
        if self._file is None:
            self._file = self._path.open("xb", buffering=0)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        place = Place(str(self._path), self._end, len(content))
        self._end += len(content)
        return place

    def close(self) -> None:
        if self._file:
            self._file.close()


def inspect_all(files: list[SourceFile], *, processes: int, tick: Callable[[int, int], None]) -> list[ImageFacts]:
    """The facts of every picture, in the order of `files`. `tick(done, total)` may raise to stop."""
    with InspectAhead(processes) as ahead:
        ahead.add(files)
        return ahead.facts(files, tick)


def _place(file: SourceFile) -> Place:
    return file.place


_Inspected = tuple[tuple[Any, ...], bytes | None]  # the fields of ImageFacts, and the PNG of what was written anew


def _inspect_and_convert(place: Place) -> _Inspected:
    # There it is imported already; here nobody needs it, and it costs 0.1 s.
    from pipeline.images import inspect_and_convert

    facts, converted = inspect_and_convert(place.read())
    return tuple(facts), converted


def _inspect_and_try(place: Place) -> _Inspected:
    return _inspect_and_convert(place)[0], None


def decode_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, processes: int, tick: Callable[[int, int], None]
) -> list[Answer | Crash]:
    """`work(task)` for each task, in order. See DecodePool. `tick(done, total)` may raise to stop."""
    with DecodePool[Task, Answer](work, processes) as pool:
        pool.submit(tasks)
        return pool.answers(tick)


class DecodePool(Generic[Task, Answer]):
    """Processes that may die; work that raises ends its process. Fed and emptied by a thread of its own.

    `work` is a function of a module, and can write no file: what it makes is what it returns, in plain values. `send`
    makes of a task what `work` is given, and `receive` is called here with each answer, at once, so that only what it
    returns is kept.
    """

    def __init__(
        self,
        work: Callable[[Any], Answer],
        processes: int,
        send: Callable[[Task], Any] = lambda task: task,
        receive: Callable[[Answer | Crash], Any] = lambda answer: answer,
    ) -> None:
        self._work = work
        self._send = send
        self._receive = receive
        self._processes = processes
        self._tasks: list[Task] = []
        self._answers: list[Any] = []
        self._todo: deque[int] = deque()
        self._suspects: set[int] = set()  # tasks whose process ended while they were worked on: once may be chance
        self._decoders: list[_Decoder] = []
        self._lock = threading.Lock()
        self._submitted, self._changed = threading.Event(), threading.Event()
        self._done = 0
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="decode pool")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._submitted.set()
        self._thread.join()

    def submit(self, tasks: Iterable[Task]) -> None:
        with self._lock:
            before = len(self._tasks)
            self._tasks.extend(tasks)
            self._answers.extend([None] * (len(self._tasks) - before))
            self._todo.extend(range(before, len(self._tasks)))
        self._submitted.set()

    def answers(self, tick: Callable[[int, int], None]) -> list[Any]:
        """Of all tasks so far, in their order, when the last is there. `tick(done, total)` may raise to stop."""
        total = len(self._tasks)
        while self._done < total:
            self._changed.wait(1.0)
            self._changed.clear()
            if self._error:
                raise self._error
            tick(self._done, total)
        return self._answers

    def _run(self) -> None:
        try:
            while not self._ended:
                self._submitted.wait()
                self._submitted.clear()
                while not self._ended and self._done < len(self._tasks):
                    self._turn()
        except BaseException as error:  # noqa: BLE001 - raised again where the answers are waited for
            self._error = error
        finally:
            for decoder in self._decoders:
                _stop(decoder)
            self._changed.set()

    def _turn(self) -> None:
        """Give out what waits, take what is answered, and replace the processes that died or hang."""
        if len(self._decoders) < self._processes and (not self._decoders or len(self._todo) > _WORTH_ONE):
            self._decoders.append(_start(self._work))
        for at, decoder in enumerate(self._decoders):
            if self._todo and len(decoder.waiting) <= _AHEAD:
                idle = not decoder.waiting
                # One that died while it was idle did so for want of memory, say: by no picture's fault.
                self._give(self._replace(at) if idle and not decoder.process.is_alive() else decoder, self._take())
        for decoder in self._decoders:
            _flush(decoder)
        _pause(self._decoders)
        for at, decoder in enumerate(self._decoders):
            if not decoder.waiting:
                continue
            alive = self._collect(decoder)
            if not decoder.waiting or (alive and time.monotonic() - decoder.since < DECODE_SECONDS):
                continue
            self._blame(at, decoder, alive=alive)
        with self._lock:
            waiting = len(self._todo) + sum(len(decoder.waiting) for decoder in self._decoders)
            self._done = len(self._tasks) - waiting
        self._changed.set()

    def _blame(self, at: int, decoder: _Decoder, *, alive: bool) -> None:
        """The first of what waits ended its process, or does not end. What ended one is tried once more, as the first
        in a new one: the system kills processes for want of memory, too."""
        first = decoder.waiting.popleft()
        again = not alive and first not in self._suspects
        if not again:
            self._answers[first] = self._receive(Crash(_why(decoder, alive=alive)))
        with self._lock:
            self._todo.extendleft(reversed(decoder.waiting))
        decoder = self._replace(at)
        if again:
            self._suspects.add(first)
            self._give(decoder, [first])

    def _replace(self, at: int) -> _Decoder:
        _stop(self._decoders[at])
        self._decoders[at] = _start(self._work)
        return self._decoders[at]

    def _give(self, decoder: _Decoder, numbers: list[int]) -> None:
        decoder.waiting.extend(numbers)
        decoder.since = time.monotonic()
        decoder.unsent += pickle.dumps([self._send(self._tasks[number]) for number in numbers])

    def _collect(self, decoder: _Decoder) -> bool:
        """Take what has been answered. False when the process is dead, or out of its mind, and all it said is read."""
        try:
            while _hear(decoder):
                for answer in _answers_in(decoder):
                    decoder.since = time.monotonic()
                    if not decoder.ready:
                        decoder.ready = True
                    elif decoder.waiting:
                        self._answers[decoder.waiting.popleft()] = self._receive(answer)
        except _Broken as error:
            if not decoder.ready:
                raise PreparationFailed("A decoding process did not start.") from error
            return False
        return True

    def _take(self) -> list[int]:
        with self._lock:
            # Towards the end smaller batches, so that both processes end at about the same time.
            share = max(1, len(self._todo) // (2 * self._processes))
            return [self._todo.popleft() for _ in range(min(BATCH, share, len(self._todo)))]


def _start(work: Callable[[Any], Any]) -> _Decoder:
    made = context()
    ours, theirs = made.Pipe()
    process = made.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    os.set_blocking(ours.fileno(), False)
    return _Decoder(process, ours)


def _serve(line: Connection, work: Callable[[Any], Any]) -> None:
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


def _pause(decoders: list[_Decoder]) -> None:
    """Shorter where the rest of a large answer comes, or of large tasks can go."""
    rest = select.poll()
    for decoder in decoders:
        if decoder.heard or decoder.unsent:
            events = (select.POLLIN if decoder.heard else 0) | (select.POLLOUT if decoder.unsent else 0)
            rest.register(decoder.line.fileno(), events)
    rest.poll(_PAUSE_SECONDS * 1000)


def _flush(decoder: _Decoder) -> None:
    """As much as it takes now."""
    try:
        while decoder.unsent:
            del decoder.unsent[: os.write(decoder.line.fileno(), decoder.unsent)]
    except BlockingIOError:
        return
    except OSError:
        decoder.unsent.clear()  # it died before its work; `_collect` sees it


def _hear(decoder: _Decoder) -> bool:
    """Read what is there, a megabyte at most. False when there is nothing now; raises _Broken when it is the end."""
    try:
        content = os.read(decoder.line.fileno(), _READ)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _Broken from error
    if not content:
        raise _Broken
    decoder.heard += content
    return True


def _answers_in(decoder: _Decoder) -> Iterator[Any]:
    """The whole answers of what was heard. Raises _Broken."""
    at, heard = 0, decoder.heard
    while at + _LENGTH.size <= len(heard):
        (length,) = _LENGTH.unpack_from(heard, at)
        if length > _MAX_ANSWER:
            raise _Broken
        start, end = at + _LENGTH.size, at + _LENGTH.size + length
        if end > len(heard):
            break
        with memoryview(heard) as view, view[start:end] as content:
            answer = _loaded(content)
        at = end
        yield answer
    del heard[:at]


class _Plain(pickle.Unpickler):
    """Numbers, texts, bytes and tuples of them: a decoder that was taken over has nothing run here."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value.")


def _loaded(content: memoryview) -> Any:
    try:
        return _Plain(io.BytesIO(content)).load()
    except Exception as error:  # bytes that are no pickle raise nearly anything, and all of it means this
        raise _Broken from error


def _why(decoder: _Decoder, *, alive: bool) -> str:
    if alive:
        return f"Decoding it took more than {DECODE_SECONDS:.0f} seconds."
    decoder.process.join(1)
    if decoder.process.exitcode is None:
        return "Decoding it made the process say what is no answer."
    return f"Decoding it ended the process (exit status {decoder.process.exitcode})."


def _stop(decoder: _Decoder) -> None:
    decoder.process.kill()
    decoder.process.join()
    decoder.line.close()
