"""Images inspected in decoding processes while the archive they come from is still being extracted."""

import threading
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Self

from pipeline.archive.byte_range import ByteRange
from pipeline.archive.disk_space import require_space
from pipeline.archive.source import SourceFile
from pipeline.decode.image_facts import ImageFacts, unpack
from pipeline.decode.pool import Crash, DecodePool, MalformedReply
from pipeline.decode.tasks import ImageTask, inspect, inspect_only


class InspectAhead:
    """Images inspected as they come out of the archive, while the rest is still inflated and read.

    Those that trainers would read differently are converted: their PNGs lie one after the other in the file
    `converted`. Without it, conversion is only tried. `known`: the facts of images by their sha256, which are not
    decoded again.
    """

    def __init__(
        self, processes: int, converted: Path | None = None, known: Mapping[str, ImageFacts] | None = None
    ) -> None:
        self._converted = _Spool(converted) if converted else None
        work = inspect if converted else inspect_only
        self._pool = DecodePool(work, parse=self._facts, processes=processes)
        self._names: list[str] = []
        self._known = known or {}
        self._kept: dict[str, ImageFacts] = {}

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)
        if self._converted:
            self._converted.close()

    def add(self, files: Iterable[SourceFile], known: Mapping[str, ImageFacts] | None = None) -> None:
        """Each file once. `known`: of these files, in place of those of all."""
        new = []
        known = self._known if known is None else known
        for file in files:
            if (facts := known.get(file.sha256)) is not None:
                self._kept[file.name] = facts
            else:
                new.append(file)
        self._names += [file.name for file in new]
        self._pool.submit(ImageTask(file.byte_range) for file in new)

    def facts(self, files: list[SourceFile], tick: Callable[[int, int], None]) -> list[ImageFacts]:
        """The facts of each of `files`, which were added, in their order. `tick(done, total)` may raise to stop.

        Images with more than 8 bits per channel are reduced from the largest bit depth of all `files`, so
        that their brightness stays comparable: those of a smaller depth are converted again. Of the other files that
        were added, such as masks, those that still wait are not decoded.
        """
        wanted = {file.name for file in files}
        self._pool.drop(number for number, name in enumerate(self._names) if name not in wanted)
        answers = dict(zip(self._names, self._pool.answers(tick), strict=True))
        facts = [self._kept.get(file.name) or _facts_of(answers[file.name]) for file in files]
        bits = max((each.bits for each in facts), default=0)
        again = [at for at, each in enumerate(facts) if 0 < each.bits < bits and not each.problem]
        if again:
            self._names += [files[at].name for at in again]
            self._pool.submit(ImageTask(files[at].byte_range, bits) for at in again)
            for at, answer in zip(again, self._pool.answers(tick)[-len(again) :], strict=True):
                facts[at] = _facts_of(answer)
        return facts

    def _facts(self, reply: bytes) -> ImageFacts:
        """Raises MalformedReply, OutOfSpace, OSError."""
        try:
            facts, png = unpack(reply)
        except ValueError as error:
            raise MalformedReply from error
        if self._converted and png is not None:
            facts = facts._replace(converted=self._converted.add(png))
        return facts


def _facts_of(answer: ImageFacts | Crash) -> ImageFacts:
    if isinstance(answer, Crash):
        return ImageFacts(problem=("image-crashes-decoder", f"Decoding it {answer.why}."))
    return answer


class _Spool:
    """Contents one after the other in one file, which is made for the first of them. Filled by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._end = 0

    def add(self, content: bytes) -> ByteRange:
        """Raises OutOfSpace, OSError."""
        with self._lock:
            require_space(self._path.parent, len(content))
            if self._file is None:
                self._file = self._path.open("xb", buffering=0)
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
            byte_range = ByteRange(str(self._path), self._end, len(content))
            self._end += len(content)
            return byte_range

    def close(self) -> None:
        if self._file:
            self._file.close()


def inspect_all(files: list[SourceFile], *, processes: int, tick: Callable[[int, int], None]) -> list[ImageFacts]:
    """The facts of every image, in the order of `files`. `tick(done, total)` may raise to stop."""
    with InspectAhead(processes) as ahead:
        ahead.add(files)
        return ahead.facts(files, tick)
