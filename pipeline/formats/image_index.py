"""Finds the images that a name or a path means. Names compare after NFC and percent-decoding."""

from collections.abc import Sequence
from contextlib import suppress
from unicodedata import is_normalized, normalize
from urllib.parse import unquote

from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile

# One image without a list around it: for each of 100,000 images a list would take 70 bytes.
_OneOrMore = SourceFile | list[SourceFile]


def canonical(text: str) -> str:
    """NFC, with `%20` as a space; a name whose escapes are not UTF-8 stays as it is."""
    if "%" in text:
        with suppress(UnicodeDecodeError):
            text = unquote(text, errors="strict")
    return text if text.isascii() or is_normalized("NFC", text) else normalize("NFC", text)


def path_parts(path: str) -> tuple[str, ...]:
    """The canonical parts of a path as written on any machine, without a drive, `.` and `..`."""
    parts = canonical(path.replace("\\", "/")).split("/")
    return tuple(part for part in parts if part not in ("", ".", "..") and not part.endswith(":"))


def common_end(path: Sequence[str], name: str) -> int:
    """How many of the last parts a path and the name of an image have in common."""
    count = 0
    for left, right in zip(reversed(path), reversed(canonical(name).split("/")), strict=False):
        if left != right:
            break
        count += 1
    return count


class ImageIndex:
    """Images by name, without their folders."""

    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._by_stem: dict[str, _OneOrMore] = {}
        self._by_folder: dict[str, dict[str, list[SourceFile]]] = {}
        for image in images:
            _add(self._by_stem, bare_of(canonical(base_of(image.name))), image)

    def stem(self, stem: str) -> list[SourceFile]:
        """The images of this canonical name without suffix."""
        return _listed(self._by_stem.get(stem))

    def count(self, stem: str) -> int:
        found = self._by_stem.get(stem)
        return len(found) if isinstance(found, list) else int(found is not None)

    def file(self, base: str) -> list[SourceFile]:
        """The images of this canonical file name; without a suffix of images, of this stem."""
        stem = bare_of(base) if is_image(base) else base
        return [image for image in self.stem(stem) if self.is_named(image, base)]

    def is_named(self, image: SourceFile, base: str) -> bool:
        return not is_image(base) or canonical(base_of(image.name)) == base

    def in_folder(self, folder: str, stem: str) -> list[SourceFile]:
        """Those of one folder; for a stem in so many folders that a list of them takes long."""
        if stem not in self._by_folder:
            folders = self._by_folder[stem] = {}
            for image in self.stem(stem):
                folders.setdefault(folder_of(image.name), []).append(image)
        return self._by_folder[stem].get(folder, [])


def _add(index: dict[str, _OneOrMore], key: str, image: SourceFile) -> None:
    found = index.setdefault(key, image)
    if isinstance(found, list):
        found.append(image)
    elif found is not image:
        index[key] = [found, image]


def _listed(found: _OneOrMore | None) -> list[SourceFile]:
    return found if isinstance(found, list) else [found] if found else []
