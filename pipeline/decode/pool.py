"""Work done in decoding processes: a task that crashes one, or never ends, costs itself and nothing else."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from core.domain.errors import PreparationFailed
from pipeline.decode.process import DecodingProcess, ProcessEnded

BATCH = 64  # tasks sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 120.0  # for one image; 200 megapixels take about 5, and 50 where they are converted to PNG

_WORTH_ONE = 4  # tasks that wait for each process that runs before another is started
_MAX_FAILED_STARTS = 3
_RESTART_SECONDS = 0.1  # in which a fork server that is dying is dead, so that another is started
_TICK_SECONDS = 0.25
_MALFORMED = "made the process send a malformed reply"

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class MalformedReply(Exception):
    """What a decoding process sent is no answer."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The answer to a task that ended its process, or did not end. `why` completes the sentence "Decoding it ..."."""

    why: str


NOT_NEEDED = Crash("was not needed")  # the answer to a task that was dropped


def decode_all(
    work: Callable[[Task], bytes],
    tasks: Sequence[Task],
    *,
    parse: Callable[[bytes], Answer],
    processes: int,
    tick: Callable[[int, int], None],
) -> list[Answer | Crash]:
    """The parsed reply to each task, in order. See DecodePool; `tick(done, total)` may raise to stop."""
    with DecodePool(work, parse=parse, processes=processes) as pool:
        pool.submit(tasks)
        return pool.answers(tick)


class DecodePool(Generic[Task, Answer]):
    """Up to `processes` decoding processes, each with a thread that sends it tasks and waits for the replies.

    `work` is a function of a module, which can write no file, unless `writes`: it returns all it makes as bytes. They
    come from a process that may have been taken over: `parse` makes an answer of them, or raises MalformedReply. A task
    without a reply after DECODE_SECONDS is given up.
    """

    def __init__(
        self,
        work: Callable[[Task], bytes],
        *,
        parse: Callable[[bytes], Answer],
        processes: int,
        writes: bool = False,
    ) -> None:
        self._work = work
        self._parse = parse
        self._processes = processes
        self._writes = writes
        self._seconds = DECODE_SECONDS
        self._threads = [threading.Thread(target=self._run, daemon=True, name="decoder") for _ in range(processes)]
        self._changed = threading.Condition()  # guards what follows
        self._tasks: list[Task] = []
        self._answers: list[Answer | Crash | None] = []
        self._answered = 0
        self._awaited: int | None = None  # the task for whose answer alone somebody waits
        self._waiting: deque[int] = deque()  # tasks by number
        self._suspects: set[int] = set()  # tasks whose process ended: once may be chance
        self._running: list[DecodingProcess] = []
        self._closed = False
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for process in self._running:
                process.stop()
        for thread in self._threads:
            thread.join()

    def submit(self, tasks: Iterable[Task]) -> None:
        with self._changed:
            before = len(self._tasks)
            self._tasks.extend(tasks)
            self._answers.extend([None] * (len(self._tasks) - before))
            self._waiting.extend(range(before, len(self._tasks)))
            self._changed.notify_all()

    def drop(self, numbers: Iterable[int]) -> None:
        """Tasks whose answers are of no use any more, counted from 0: those that wait are not begun."""
        dropped = set(numbers)
        with self._changed:
            waiting = [number for number in self._waiting if number not in dropped]
            for number in dropped.intersection(self._waiting):
                self._store(number, NOT_NEEDED)
            self._waiting = deque(waiting)

    def answers(self, tick: Callable[[int, int], None]) -> list[Answer | Crash]:
        """To all tasks so far, in their order, once the last is there. `tick(done, total)` may raise to stop."""
        while (done := self._wait()) < len(self._tasks):
            tick(done, len(self._tasks))
        tick(done, done)
        return [answer for answer in self._answers if answer is not None]

    def answer(self, number: int, check: Callable[[], None]) -> Answer | Crash:
        """To one task, counted from 0, once it is there. `check()` may raise to stop."""
        while (answer := self._answers[number]) is None:
            self._wait(number)
            check()
        return answer

    def _wait(self, number: int | None = None) -> int:
        """For the answers to all tasks, or to one: a moment at the most. Returns how many are answered."""
        with self._changed:
            self._awaited = number
            if not self._is_answered(number) and not self._error:
                self._changed.wait(_TICK_SECONDS)
            if self._error:
                raise self._error
            for process in self._running:
                if process.silent_seconds() > self._seconds:
                    process.stop()
            return self._answered

    def _is_answered(self, number: int | None) -> bool:
        return self._answered == len(self._tasks) if number is None else self._answers[number] is not None

    def _run(self) -> None:
        """One thread, with one process at a time."""
        try:
            while self._needs_process():
                process = self._start()
                try:
                    while (numbers := self._take()) and self._decode(process, numbers):
                        pass
                finally:
                    self._end(process)
        except BaseException as error:  # noqa: BLE001 - raised again in `answers`
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _needs_process(self) -> bool:
        """Waits until there is enough to do; False once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) > _WORTH_ONE * len(self._running))
            return not self._closed

    def _start(self) -> DecodingProcess:
        for _ in range(_MAX_FAILED_STARTS):
            try:
                process = DecodingProcess(self._work, self._seconds, writes=self._writes)
            except ProcessEnded:
                time.sleep(_RESTART_SECONDS)
                continue
            with self._changed:
                self._running.append(process)
            return process
        raise PreparationFailed("Decoding processes do not start.")

    def _take(self) -> deque[int]:
        """Waits for tasks, and takes a share of them: smaller towards the end, so that all processes end together.

        Empty once the pool is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return deque()
            share = max(1, min(BATCH, len(self._waiting) // (2 * self._processes)))
            return deque(self._waiting.popleft() for _ in range(share))

    def _decode(self, process: DecodingProcess, numbers: deque[int]) -> bool:
        """False where the process must be replaced."""
        try:
            process.send([self._tasks[number] for number in numbers])
            while numbers:
                answer = self._parse(process.receive())
                with self._changed:
                    self._store(numbers.popleft(), answer)
            process.rest()
        except MalformedReply:
            self._blame(numbers, _MALFORMED)
        except ProcessEnded:
            if process.silent_seconds() > self._seconds:
                self._blame(numbers, f"took more than {self._seconds:.0f} seconds", at_once=True)
            else:
                self._blame(numbers, _ending_of(process))
        else:
            return True
        return False

    def _blame(self, numbers: deque[int], why: str, *, at_once: bool = False) -> None:
        """The first task without a reply is the cause. All others wait again.

        It is tried once more, unless it is blamed `at_once`: the system kills processes for want of memory, too.
        """
        with self._changed:
            if at_once or numbers[0] in self._suspects:
                self._store(numbers.popleft(), Crash(why))
            else:
                self._suspects.add(numbers[0])
            self._waiting.extendleft(reversed(numbers))
            self._changed.notify_all()

    def _store(self, number: int, answer: Answer | Crash) -> None:
        self._answers[number] = answer
        self._answered += 1
        if self._answered == len(self._tasks) or number == self._awaited:
            self._changed.notify_all()

    def _end(self, process: DecodingProcess) -> None:
        with self._changed:
            self._running.remove(process)
            self._changed.notify_all()
        process.close()


def _ending_of(process: DecodingProcess) -> str:
    status = process.exit_status()
    return _MALFORMED if status is None else f"ended the process (exit status {status})"
