"""Names of images in a labelled ZIP: valid on every system, unique, and those of the images where they can be."""

import unicodedata
from pathlib import PurePosixPath

from pipeline.archive.entry_names import suffix_of
from pipeline.archive.extract import IMAGE_SUFFIXES
from pipeline.hub.to_zip import image_suffix

_UNSAFE = frozenset('/\\:*?"<>|\ufffd')  # separators, and characters that Windows does not allow
_MAX_BYTES = 150


class UniqueNames:
    """Each name is given once, in the order of the calls; upper and lower case count as the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._following: dict[str, int] = {}  # next number to try, so that none is tried twice

    def of(self, name: str, content: bytes) -> str:
        """The last part of `name`, with a suffix of an image, and a number where it was given before."""
        path = PurePosixPath(name)
        suffix = path.suffix if suffix_of(name) in IMAGE_SUFFIXES else f".{image_suffix(content)}"
        stem = _plain(path.stem if suffix == path.suffix else path.name)
        found, number = f"{stem}{suffix}", self._following.get(stem.casefold(), 2)
        while found.casefold() in self._taken:
            found, number = f"{stem}~{number}{suffix}", number + 1
        self._following[stem.casefold()] = number
        self._taken.add(found.casefold())
        return found


def _plain(stem: str) -> str:
    text = unicodedata.normalize("NFC", stem)
    text = "".join("_" if char in _UNSAFE or not char.isprintable() else char for char in text)
    text = text.encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore").strip().rstrip(".")
    return f"_{text}" if not text or text.startswith(".") else text
