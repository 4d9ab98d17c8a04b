"""Maps class names to folders of a ZIP: readable, valid on every system, and unique."""

import unicodedata
from collections.abc import Iterable

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_CLASSES

_MAX_BYTES = 120
_UNSAFE = frozenset('/\\:*?"<>|\ufffd')  # separators, and characters that Windows does not allow


def folders_of(names: Iterable[str]) -> dict[str, str]:
    """Class name -> folder; the order of `names` does not matter.

    Raises HubSetUnusable for more than MAX_CLASSES.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    following: dict[str, int] = {}  # plain name -> next number to try, so that none is tried twice
    for name in sorted(_limited(names)):
        plain = folder = _plain(name)
        number = following.get(plain.casefold(), 2)
        while folder.casefold() in taken:
            folder, number = f"{plain}~{number}", number + 1
        following[plain.casefold()] = number
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


def _limited(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        found.add(name)
        if len(found) > MAX_CLASSES:
            detail = f"The dataset has more than {MAX_CLASSES} class names: it is too large, or has other labels."
            raise HubSetUnusable(detail, limit=MAX_CLASSES)
    return found


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if char in _UNSAFE or not char.isprintable() else char for char in text)
    text = text.encode()[:_MAX_BYTES].decode("utf-8", "ignore").strip().rstrip(".")
    return f"_{text}" if not text or text.startswith((".", "__MACOSX")) else text
