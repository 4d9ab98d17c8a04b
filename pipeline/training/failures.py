"""An exception of a framework as a typed failure. Recognised by its message: no framework is imported."""

import traceback
from collections.abc import Iterator

from core.domain.errors import Diverged, NoSpace, OutOfMemory, TrainerCrashed, TrainingFailed
from pipeline.process.disk_full import is_full_disk

TRACEBACK_LINES = 25  # the end of it, kept on the run; the whole is in the log

_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",  # torch on a CPU
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "is killed by signal: killed",  # a DataLoader's worker, by the kernel
)
_DIVERGED_WORDS = ("nan persisted", "nan/inf")
_SPACE_WORDS = ("no space left on device",)


def as_failure(error: Exception) -> TrainingFailed:
    """The typed cause of `error` or of one of the errors that caused it; TrainerCrashed where none is recognised."""
    chain = list(_chain(error))
    text = f"{type(error).__name__}: {error}"[:2000]
    words = " ".join(str(each) for each in chain).lower()
    if any(is_full_disk(each) for each in chain) or _contains(words, _SPACE_WORDS):
        return NoSpace(f"The disk is full: {error}")
    if any(isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError" for each in chain):
        return OutOfMemory(text)
    if _contains(words, _MEMORY_WORDS):
        return OutOfMemory(text)
    if _contains(words, _DIVERGED_WORDS):
        return Diverged(text)
    lines = "".join(traceback.format_exception(error)).splitlines()
    return TrainerCrashed(text, traceback=lines[-TRACEBACK_LINES:])


def _contains(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
