"""Pictures decoded in processes of their own: one that crashes a decoder costs its process, not the job."""

import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from core.domain.errors import PreparationFailed
from pipeline.images import ImageFacts, inspect

BATCH = 32  # pictures sent at once: a round trip costs about as much as decoding a thumbnail
DECODE_SECONDS = 60.0  # for one picture; 200 megapixels of PNG take about 5
MEMORY_BYTES = 4 * 1024**3  # address space of one process; 200 megapixels of RGBA have 0.8 GB


@dataclass(slots=True)
class _Decoder:
    process: BaseProcess
    line: Connection
    waiting: deque[int] = field(default_factory=deque)
    since: float = 0.0
    ready: bool = False


def inspect_all(paths: list[str], *, processes: int, tick: Callable[[int, int], None]) -> list[ImageFacts]:
    """The facts of every picture, in the order of `paths`. `tick(done, total)` may raise to stop."""
    facts: list[ImageFacts | None] = [None] * len(paths)
    todo = deque(range(len(paths)))
    done = 0
    decoders = [_start() for _ in range(min(processes, max(1, len(paths) // 4)))] if paths else []
    try:
        while done < len(paths):
            for decoder in decoders:
                if not decoder.waiting and todo:
                    _send(decoder, [todo.popleft() for _ in range(min(BATCH, len(todo)))], paths)
            wait([decoder.line for decoder in decoders if decoder.waiting], timeout=1.0)
            for at, decoder in enumerate(decoders):
                if not decoder.waiting:
                    continue
                alive = _collect(decoder, facts)
                if alive and time.monotonic() - decoder.since < DECODE_SECONDS:
                    continue
                culprit = decoder.waiting.popleft()
                facts[culprit] = ImageFacts(problem=("image-crashes-decoder", _why(decoder, alive=alive)))
                todo.extendleft(reversed(decoder.waiting))
                _stop(decoder)
                decoders[at] = _start()
            done = len(paths) - len(todo) - sum(len(decoder.waiting) for decoder in decoders)
            tick(done, len(paths))
    finally:
        for decoder in decoders:
            _stop(decoder)
    return [fact or ImageFacts(problem=("image-unreadable", "It was not decoded.")) for fact in facts]


def _start() -> _Decoder:
    # spawn, not fork: the parent has threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Decoder(process, ours)


def _serve(line: Connection) -> None:
    """The decoding process: says that it is there; then lists of paths come, one answer for each goes back."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        line.send(None)
        while True:
            for path in line.recv():
                line.send(tuple(inspect(path)))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the parent is done, or gone


def _send(decoder: _Decoder, numbers: list[int], paths: list[str]) -> None:
    decoder.waiting.extend(numbers)
    decoder.since = time.monotonic()
    try:
        decoder.line.send([paths[number] for number in numbers])
    except BrokenPipeError:
        return  # it died before its work; `_collect` sees it


def _collect(decoder: _Decoder, facts: list[ImageFacts | None]) -> bool:
    """Take what has been answered. False when the process is dead and all it said has been read."""
    try:
        while decoder.waiting and decoder.line.poll():
            answer = decoder.line.recv()
            if answer is None:
                decoder.ready = True
            else:
                facts[decoder.waiting.popleft()] = ImageFacts(*answer)
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
