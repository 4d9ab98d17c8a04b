"""Images inspected in decoding processes, from the moment they are out of the archive."""

import sys
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Any, Self

from pipeline.archive.byte_range import ByteRange
from pipeline.archive.disk_space import require_space
from pipeline.archive.source import SourceFile
from pipeline.decode.image_facts import ImageFacts
from pipeline.decode.pool import Crash, DecodePool
from pipeline.decode.tasks import Inspected, inspect_and_convert, inspect_and_try


class InspectAhead:
    """Images inspected as they come out of the archive, while the rest is still inflated and read.

    Those that trainers would read otherwise are written anew as well: one after the other into the file `converted`;
    without one it is only seen whether they can be.
    """

    def __init__(self, processes: int, converted: Path | None = None) -> None:
        self._converted = _Spool(converted) if converted else None
        work = inspect_and_convert if converted else inspect_and_try
        self._pool = DecodePool(work, processes, send=_byte_range, receive=self._facts)
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

    def _facts(self, answer: Inspected | Crash) -> ImageFacts:
        if isinstance(answer, Crash):
            return ImageFacts(problem=("image-crashes-decoder", f"Decoding it {answer.why}."))
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

    def add(self, content: bytes) -> ByteRange:
        """Raises OutOfSpace, OSError."""
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


def _byte_range(file: SourceFile) -> ByteRange:
    return file.byte_range
