"""A ZIP of files as they are, written one after the other: nothing is compressed, and nothing is read twice."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from core.domain.errors import ImportUnusable
from core.domain.limits import MAX_ENTRIES

_TIME = (1980, 1, 1, 0, 0, 0)  # of every entry: the same files give the same bytes
_MODE = 0o100644 << 16


class StoredZip:
    """Open inside the context. Raises ImportUnusable above the limit, and for a name that no ZIP can hold."""

    def __init__(self, target: Path, *, limit_bytes: int) -> None:
        self._zip = zipfile.ZipFile(target, "w")
        self._limit_bytes = limit_bytes
        self.entries = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def add(self, name: str, blocks: Iterable[bytes]) -> None:
        self.entries += 1
        with self._zip.open(_entry(name), "w", force_zip64=True) as entry:
            for block in blocks:
                self.bytes += len(block)
                require_bytes(self.bytes, limit_bytes=self._limit_bytes)
                entry.write(block)


def require_entries(count: int) -> None:
    """Raises ImportUnusable."""
    if count > MAX_ENTRIES:
        detail = f"There are more than {MAX_ENTRIES} files: the place is too large, or another one was meant."
        raise ImportUnusable(detail, reason="too-many-files", limit=MAX_ENTRIES)


def require_bytes(size: int, *, limit_bytes: int) -> None:
    """Raises ImportUnusable."""
    if size > limit_bytes:
        detail = f"The files exceed the limit of {limit_bytes} bytes."
        raise ImportUnusable(detail, reason="too-large", limit=limit_bytes)


def _entry(name: str) -> zipfile.ZipInfo:
    if not name.isprintable():  # false also for the halves of characters that stand for bytes that are not UTF-8
        raise ImportUnusable(f"{ascii(name)[:200]} is no name of a file in a ZIP: rename it.", reason="name")
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = _MODE
    entry.create_system = 3
    return entry
