"""Class names as folders of a ZIP: readable, safe everywhere, and different for different names."""

import unicodedata
from collections.abc import Iterable

_MAX_BYTES = 120
_FOREIGN = frozenset('/\\:*?"<>|\ufffd')  # of paths, or not allowed in names on Windows


def folders_of(names: Iterable[str]) -> dict[str, str]:
    """Class name -> folder. The same names give the same folders, in whatever order they come."""
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        plain = _plain(name)
        folder, number = plain, 2
        while folder.casefold() in taken:
            folder, number = f"{plain}~{number}", number + 1
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if char in _FOREIGN or not char.isprintable() else char for char in text)
    text = text.encode()[:_MAX_BYTES].decode("utf-8", "ignore").strip().rstrip(".")
    return f"_{text}" if not text or text.startswith((".", "__MACOSX")) else text
