"""Class names as folders of a ZIP: readable, safe everywhere, and different for different names."""

import unicodedata
from collections.abc import Iterable

from core.domain.errors import HubSetUnusable

MAX_CLASSES = 10_000  # the largest public sets of images have about so many; a column of captions has more
_MAX_BYTES = 120
_FOREIGN = frozenset('/\\:*?"<>|\ufffd')  # of paths, or not allowed in names on Windows


def folders_of(names: Iterable[str]) -> dict[str, str]:
    """Class name -> folder. The same names give the same folders, in whatever order they come.

    Raises HubSetUnusable for more than MAX_CLASSES.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    following: dict[str, int] = {}  # plain name -> the number not tried yet, so that none is tried twice
    for name in sorted(_few(names)):
        plain = folder = _plain(name)
        number = following.get(plain.casefold(), 2)
        while folder.casefold() in taken:
            folder, number = f"{plain}~{number}", number + 1
        following[plain.casefold()] = number
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


def _few(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        found.add(name)
        if len(found) > MAX_CLASSES:
            detail = f"It has more than {MAX_CLASSES} class names: its labels are no classes, or it is too large."
            raise HubSetUnusable(detail, limit=MAX_CLASSES)
    return found


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if char in _FOREIGN or not char.isprintable() else char for char in text)
    text = text.encode()[:_MAX_BYTES].decode("utf-8", "ignore").strip().rstrip(".")
    return f"_{text}" if not text or text.startswith((".", "__MACOSX")) else text
