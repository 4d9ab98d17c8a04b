"""Pictures decoded in processes of their own: one that crashes a decoder costs its process, not the job."""

import multiprocessing
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from core.domain.errors import PreparationFailed
from pipeline.images import ImageFacts, inspect

BATCH = 32  # pictures sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 60.0  # for one picture; 200 megapixels of PNG take about 5
MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB

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
    waiting: deque[int] = field(default_factory=deque)
    since: float = 0.0
    ready: bool = False


def inspect_all(paths: list[str], *, processes: int, tick: Callable[[int, int], None]) -> list[ImageFacts]:
    """The facts of every picture, in the order of `paths`. `tick(done, total)` may raise to stop."""
    answers: list[Any] = decode_all(_inspect, paths, processes=processes, tick=tick)
    for at, answer in enumerate(answers):  # in place: there may be 100,000
        answers[at] = _facts(answer)
    return answers


def _inspect(path: str) -> tuple[Any, ...]:
    return tuple(inspect(path))  # half the cost of pickling a named one


def _facts(answer: tuple[Any, ...] | Crash) -> ImageFacts:
    if isinstance(answer, Crash):
        return ImageFacts(problem=("image-crashes-decoder", answer.why))
    facts = ImageFacts(*answer)
    return facts._replace(format=sys.intern(facts.format), mode=sys.intern(facts.mode))  # not 100,000 times "JPEG"


def decode_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, processes: int, tick: Callable[[int, int], None]
) -> list[Answer | Crash]:
    """`work(task)` for each task, in order, in processes that may die; work that raises ends its process.

    `work` is a function of a module, and can write no file: what it makes is what it returns. `tick(done, total)` may
    raise to stop.
    """
    answers: list[Any] = [None] * len(tasks)
    todo = deque(range(len(tasks)))
    done = 0
    decoders = [_start(work) for _ in range(min(processes, max(1, len(tasks) // 4)))] if tasks else []
    try:
        while done < len(tasks):
            for decoder in decoders:
                if not decoder.waiting and todo:
                    _send(decoder, [todo.popleft() for _ in range(min(BATCH, len(todo)))], tasks)
            wait([decoder.line for decoder in decoders if decoder.waiting], timeout=1.0)
            for at, decoder in enumerate(decoders):
                if not decoder.waiting:
                    continue
                alive = _collect(decoder, answers)
                if alive and time.monotonic() - decoder.since < DECODE_SECONDS:
                    continue
                answers[decoder.waiting.popleft()] = Crash(_why(decoder, alive=alive))
                todo.extendleft(reversed(decoder.waiting))
                _stop(decoder)
                decoders[at] = _start(work)
            done = len(tasks) - len(todo) - sum(len(decoder.waiting) for decoder in decoders)
            tick(done, len(tasks))
    finally:
        for decoder in decoders:
            _stop(decoder)
    return answers


def _start(work: Callable[[Any], Any]) -> _Decoder:
    # spawn, not fork: the parent has threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Decoder(process, ours)


def _serve(line: Connection, work: Callable[[Any], Any]) -> None:
    """The decoding process: says that it is there; then lists of tasks come, one answer for each goes back."""
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


def _send(decoder: _Decoder, numbers: list[int], tasks: Sequence[Any]) -> None:
    decoder.waiting.extend(numbers)
    decoder.since = time.monotonic()
    try:
        decoder.line.send([tasks[number] for number in numbers])
    except BrokenPipeError:
        return  # it died before its work; `_collect` sees it


def _collect(decoder: _Decoder, answers: list[Any]) -> bool:
    """Take what has been answered. False when the process is dead and all it said has been read."""
    try:
        while decoder.waiting and decoder.line.poll():
            answer = decoder.line.recv()
            if answer is None:
                decoder.ready = True
            else:
                answers[decoder.waiting.popleft()] = answer
            decoder.since = time.monotonic()
    except (EOFError, ConnectionResetError) as error:
        if not decoder.ready:
            raise PreparationFailed("A decoding process did not start.") from error
        return False
    return True


def _why(decoder: _Decoder, *, alive: bool) -> str:
    if alive:
        return f"Decoding it took more than {DECODE_SECONDS:.0f} seconds."
    decoder.process.join(5)
    return f"Decoding it ended the process (exit status {decoder.process.exitcode})."


def _stop(decoder: _Decoder) -> None:
    decoder.process.kill()
    decoder.process.join()
    decoder.line.close()
