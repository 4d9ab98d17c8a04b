"""Pictures decoded in processes of their own: one that crashes a decoder costs its process, not the job."""

import resource
import select
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from core.domain.errors import PreparationFailed
from pipeline.dataset import SourceFile
from pipeline.decoders import context
from pipeline.facts import ImageFacts
from pipeline.places import Place

BATCH = 64  # pictures sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 60.0  # for one picture; 200 megapixels of PNG take about 5
MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB

_AHEAD = 64  # pictures that a process still has when it is sent more: it never waits for us
_PAUSE_SECONDS = 0.01  # answers are taken a handful at once: each alone would wake us 1,000 times a second
_WORTH_ONE = 4  # pictures that wait before another process is started for them

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Crash:
    """What a task that ended its process, or did not end, has for an answer."""

    why: str


@dataclass(slots=True)
class _Decoder:
    process: BaseProcess
    line: Connection
    heard: select.poll  # Connection.poll makes a new one each time, for ten times the price
    waiting: deque[int] = field(default_factory=deque)
    since: float = 0.0
    ready: bool = False


class InspectAhead:
    """Pictures inspected as they come out of the archive, while the rest is still inflated and read."""

    def __init__(self, processes: int) -> None:
        self._pool = DecodePool(_inspect, processes, send=_place, receive=_facts)
        self._names: list[str] = []

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)

    def add(self, files: Iterable[SourceFile]) -> None:
        """Each file once."""
        new = list(files)
        self._names += [file.name for file in new]
        self._pool.submit(new)

    def facts(self, files: list[SourceFile], tick: Callable[[int, int], None]) -> list[ImageFacts]:
        """Of each file that was added, in this order. `tick(done, total)` may raise to stop."""
        answers = dict(zip(self._names, self._pool.answers(tick), strict=True))
        return [answers[file.name] for file in files]


def inspect_all(files: list[SourceFile], *, processes: int, tick: Callable[[int, int], None]) -> list[ImageFacts]:
    """The facts of every picture, in the order of `files`. `tick(done, total)` may raise to stop."""
    with InspectAhead(processes) as ahead:
        ahead.add(files)
        return ahead.facts(files, tick)


def _place(file: SourceFile) -> Place:
    return file.place


def _inspect(place: Place) -> tuple[Any, ...]:
    from pipeline.images import inspect  # there it is imported already; here nobody needs it, and it costs 0.1 s

    return tuple(inspect(place.read()))  # half the cost of pickling a named one


def _facts(answer: tuple[Any, ...] | Crash) -> ImageFacts:
    if isinstance(answer, Crash):
        return ImageFacts(problem=("image-crashes-decoder", answer.why))
    facts = ImageFacts(*answer)
    return facts._replace(format=sys.intern(facts.format), mode=sys.intern(facts.mode))  # not 100,000 times "JPEG"


def decode_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, processes: int, tick: Callable[[int, int], None]
) -> list[Answer | Crash]:
    """`work(task)` for each task, in order. See DecodePool. `tick(done, total)` may raise to stop."""
    with DecodePool[Task, Answer](work, processes) as pool:
        pool.submit(tasks)
        return pool.answers(tick)


class DecodePool(Generic[Task, Answer]):
    """Processes that may die; work that raises ends its process. Fed and emptied by a thread of its own.

    `work` is a function of a module, and can write no file: what it makes is what it returns. `send` makes of a task
    what `work` is given, and `receive` is called here with each answer, at once, so that only what it returns is kept.
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
        for decoder in self._decoders:
            if self._todo and len(decoder.waiting) <= _AHEAD:
                numbers = self._take()
                _send(decoder, numbers, [self._send(self._tasks[number]) for number in numbers])
        time.sleep(_PAUSE_SECONDS)
        for at, decoder in enumerate(self._decoders):
            if not decoder.waiting:
                continue
            alive = self._collect(decoder)
            if not decoder.waiting or (alive and time.monotonic() - decoder.since < DECODE_SECONDS):
                continue
            self._answers[decoder.waiting.popleft()] = self._receive(Crash(_why(decoder, alive=alive)))
            with self._lock:
                self._todo.extendleft(reversed(decoder.waiting))
            _stop(decoder)
            self._decoders[at] = _start(self._work)
        with self._lock:
            waiting = len(self._todo) + sum(len(decoder.waiting) for decoder in self._decoders)
            self._done = len(self._tasks) - waiting
        self._changed.set()

    def _collect(self, decoder: _Decoder) -> bool:
        """Take what has been answered. False when the process is dead and all it said has been read."""
        try:
            while decoder.waiting and decoder.heard.poll(0):
                answer = decoder.line.recv()
                if answer is None:
                    decoder.ready = True
                else:
                    self._answers[decoder.waiting.popleft()] = self._receive(answer)
                decoder.since = time.monotonic()
        except (EOFError, ConnectionResetError) as error:
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
    heard = select.poll()
    heard.register(ours, select.POLLIN)
    return _Decoder(process, ours, heard)


def _serve(line: Connection, work: Callable[[Any], Any]) -> None:
    """The decoding process: says that it is there; then lists of tasks come, one answer for each goes back."""
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters is said by the facts
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder that was taken over writes no file
    try:
        line.send(None)
        while True:
            for task in line.recv():
                line.send(work(task))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the parent is done, or gone


def _send(decoder: _Decoder, numbers: list[int], work: list[Any]) -> None:
    decoder.waiting.extend(numbers)
    decoder.since = time.monotonic()
    try:
        decoder.line.send(work)
    except BrokenPipeError:
        return  # it died before its work; `_collect` sees it


def _why(decoder: _Decoder, *, alive: bool) -> str:
    if alive:
        return f"Decoding it took more than {DECODE_SECONDS:.0f} seconds."
    decoder.process.join(5)
    return f"Decoding it ended the process (exit status {decoder.process.exitcode})."


def _stop(decoder: _Decoder) -> None:
    decoder.process.kill()
    decoder.process.join()
    decoder.line.close()
