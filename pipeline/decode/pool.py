"""Images decoded in processes of their own: one that crashes a decoder costs its process, not the job."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from core.domain.errors import PreparationFailed
from pipeline.decode.channel import Broken, DecodeLine, pause
from pipeline.decode.process import DecodingProcess

BATCH = 64  # images sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 120.0  # for one image; 200 megapixels take about 5, and 50 where they are written anew as PNG

_NEARLY_IDLE = 8  # images that a process still has when we listen for each of its answers
_MAX_FAILED_STARTS = 3
_WORTH_ONE = 4  # images that wait before another process is started for them

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Crash:
    """What a task that ended its process, or did not end, has for an answer: `why` is what it did."""

    why: str


@dataclass(slots=True)
class _Decoder:
    process: DecodingProcess
    line: DecodeLine
    waiting: deque[int] = field(default_factory=deque)
    since: float = 0.0
    ready: bool = False


def decode_all(
    work: Callable[[Task], Answer],
    tasks: Sequence[Task],
    *,
    processes: int,
    tick: Callable[[int, int], None],
    seconds: float | None = None,
) -> list[Answer | Crash]:
    """`work(task)` for each task, in order. See DecodePool. `tick(done, total)` may raise to stop."""
    with DecodePool[Task, Answer](work, processes, seconds=seconds) as pool:
        pool.submit(tasks)
        return pool.answers(tick)


class DecodePool(Generic[Task, Answer]):
    """Processes that may die; work that raises ends its process. Fed and emptied by a thread of its own.

    `work` is a function of a module, and can write no file: what it makes is what it returns, in plain values. `send`
    makes of a task what `work` is given, and `receive` is called here with each answer, at once, so that only what it
    returns is kept. A task that takes more than `seconds` is given up; None: more than DECODE_SECONDS.
    """

    def __init__(
        self,
        work: Callable[[Any], Answer],
        processes: int,
        send: Callable[[Task], Any] = lambda task: task,
        receive: Callable[[Answer | Crash], Any] = lambda answer: answer,
        seconds: float | None = None,
    ) -> None:
        self._work = work
        self._send = send
        self._receive = receive
        self._processes = processes
        self._seconds = DECODE_SECONDS if seconds is None else seconds
        self._tasks: list[Task] = []
        self._answers: list[Any] = []
        self._todo: deque[int] = deque()
        self._suspects: set[int] = set()  # tasks whose process ended while they were worked on: once may be chance
        self._decoders: list[_Decoder] = []
        self._failed_starts = 0  # one after the other
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
                decoder.process.end()
            self._changed.set()

    def _turn(self) -> None:
        """Give out what waits, take what is answered, and replace the processes that died or hang."""
        while len(self._decoders) < self._processes and len(self._todo) > _WORTH_ONE * len(self._decoders):
            self._decoders.append(_start(self._work))
        for at, decoder in enumerate(self._decoders):
            if self._todo and len(decoder.waiting) <= self._share():
                # One that died while it was idle did so for want of memory, say: by no image's fault.
                died = not decoder.waiting and not self._collect(decoder)
                self._give(self._replace(at) if died else decoder, self._take())
        for decoder in self._decoders:
            decoder.line.flush()
        pause({each.line: len(each.waiting) <= _NEARLY_IDLE for each in self._decoders if each.waiting})
        for at, decoder in enumerate(self._decoders):
            if not decoder.waiting:
                continue
            alive = self._collect(decoder)
            if not decoder.waiting or (alive and time.monotonic() - decoder.since < self._seconds):
                continue
            if decoder.ready:
                self._blame(at, decoder, alive=alive)
            else:
                self._start_again(at, decoder)
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
            self._answers[first] = self._receive(Crash(self._why(decoder.process, alive=alive)))
        with self._lock:
            self._todo.extendleft(reversed(decoder.waiting))
        decoder = self._replace(at)
        if again:
            self._suspects.add(first)
            self._give(decoder, [first])

    def _start_again(self, at: int, decoder: _Decoder) -> None:
        """It, or its server, died before its work: by no image's fault."""
        self._failed_starts += 1
        if self._failed_starts == _MAX_FAILED_STARTS:
            raise PreparationFailed("Decoding processes do not start.")
        with self._lock:
            self._todo.extendleft(reversed(decoder.waiting))
        self._replace(at)

    def _why(self, process: DecodingProcess, *, alive: bool) -> str:
        if alive:
            return f"took more than {self._seconds:.0f} seconds"
        ending = process.end(seconds=1)
        if ending is None:
            return "ended the process"
        if ending.killed:
            return "made the process say what is no answer"
        return f"ended the process (exit status {ending.status})"

    def _replace(self, at: int) -> _Decoder:
        self._decoders[at].process.end()
        self._decoders[at] = _start(self._work)
        return self._decoders[at]

    def _give(self, decoder: _Decoder, numbers: list[int]) -> None:
        decoder.waiting.extend(numbers)
        decoder.since = time.monotonic()
        decoder.line.say([self._send(self._tasks[number]) for number in numbers])

    def _collect(self, decoder: _Decoder) -> bool:
        """Take what has been answered. False when the process is dead, or out of its mind, and all it said is read."""
        try:
            while decoder.line.hear():
                for answer in decoder.line.answers():
                    decoder.since = time.monotonic()
                    if not decoder.ready:
                        decoder.ready, decoder.process.pid, self._failed_starts = True, answer, 0
                    elif decoder.waiting:
                        self._answers[decoder.waiting.popleft()] = self._receive(answer)
        except Broken:
            return False
        return True

    def _share(self) -> int:
        """Of what waits, for one process. Towards the end it is smaller, so that all end at about the same time."""
        return max(1, min(BATCH, len(self._todo) // (2 * self._processes)))

    def _take(self) -> list[int]:
        with self._lock:
            return [self._todo.popleft() for _ in range(min(self._share(), len(self._todo)))]


def _start(work: Callable[[Any], Any]) -> _Decoder:
    process = DecodingProcess(work)
    return _Decoder(process, DecodeLine(process.line))
