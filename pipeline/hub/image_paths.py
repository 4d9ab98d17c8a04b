"""The path of each image of a table in a ZIP: the one that its row states, where that can be one."""

import unicodedata
from collections import Counter
from collections.abc import Iterator

from core.domain.findings import Finding
from core.domain.limits import MAX_DEPTH, MAX_NAME_BYTES
from pipeline.archive.extract import is_hidden, is_image
from pipeline.archive.plural import counted

_NONE, _UNUSABLE, _TAKEN = "none", "unusable", "taken"
_ROOM = 100  # bytes, for what is put before a path or behind it
_WHY = {
    _NONE: "of a row without a path",
    _UNUSABLE: "whose path no file may have (absolute, with `..`, hidden, too long or with control characters)",
    _TAKEN: "whose path another image has already",
}


class ImagePaths:
    """Gives each image a path that no other one has, in the order of the rows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, int]] = {}
        self._numbers: Counter[str] = Counter()

    def of(self, stated: str | None, split: str, suffix: str, *, table: str, row: int) -> str:
        """`suffix`: that of the format of the bytes, for a path that does not end as one of an image does."""
        path = _usable(stated) if stated else None
        if path is not None and not is_image(path):
            path = f"{path}.{suffix}"
        reason = None if path and self._is_free(path) else _TAKEN if path else _UNUSABLE if stated else _NONE
        if reason:
            self._counts[reason] += 1
            self._first.setdefault(reason, (table, row))
            path = self._made(path, split, suffix)
        assert path is not None  # noqa: S101 - for the type checker: it is made where it is missing
        self._take(path)
        return path

    def findings(self) -> Iterator[Finding]:
        for reason, count in sorted(self._counts.items()):
            table, row = self._first[reason]
            images = counted(count, "image", "images")
            detail = f"{images} {_WHY[reason]}: named after the part of the split, and the number or the path."
            yield Finding.of("parquet-path-made", table, detail, line=row)

    def _made(self, path: str | None, split: str, suffix: str) -> str:
        if path is not None and self._is_free(below := f"{split}/{path}"):
            return below
        while True:
            self._numbers[split] += 1
            if self._is_free(made := f"{split}/{self._numbers[split]:07d}.{suffix}"):
                return made

    def _is_free(self, path: str) -> bool:
        """No image has it, none lies in a folder of this name, and none of its folders is an image."""
        return path not in self._taken and path not in self._folders and self._taken.isdisjoint(_folders_of(path))

    def _take(self, path: str) -> None:
        self._taken.add(path)
        self._folders.update(_folders_of(path))


def _folders_of(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _usable(stated: str) -> str | None:
    if len(stated) > MAX_NAME_BYTES:
        return None
    path = unicodedata.normalize("NFC", stated)
    parts = path.split("/")
    if len(parts) > MAX_DEPTH - 2 or any(part in ("", ".", "..") for part in parts) or path[1:2] == ":":
        return None
    if is_hidden(path) or "\\" in path or "\ufffd" in path or not path.isprintable():
        return None
    return path if len(path.encode()) <= MAX_NAME_BYTES - _ROOM else None
