"""Reads lists of images: text files of one image a line, by name, stem or path of any machine."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from core.domain.findings import Finding, FindingList
from pipeline.archive.entry_names import bare_of, base_of, folder_of, suffix_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import common_folder
from pipeline.formats.box_limits import require_entries
from pipeline.formats.image_index import ImageIndex, canonical, common_end, path_parts
from pipeline.formats.split_names import split_of_folder
from pipeline.formats.text import read_lines, why_unread

_MANY = 16  # images of one name: with more, a line is first looked up as a whole path
_MAX_FINDINGS = 1000  # of a code, about one list


@dataclass(slots=True)
class ImageList:
    """`found`: image -> what follows its name in the line. `unknown`: number of lines that name no image of the
    dataset; `names_files`: of those that look like a file name of one.

    `is_read`: its bytes are text of a known encoding.
    """

    file: SourceFile
    found: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    unknown: int = 0
    names_files: int = 0
    findings: FindingList = field(default_factory=lambda: FindingList(most=_MAX_FINDINGS))
    is_read: bool = True

    @property
    def is_of_images(self) -> bool:
        """Whether most lines name an image of the dataset."""
        return 2 * (self.lines - self.unknown) > self.lines

    def column_splits(self) -> dict[str, str]:
        """Image -> split, where each line has a part of a split after its image (`a.jpg test`); else empty."""
        splits = {name: split_of_folder(column) for name, column in self.found.items()}
        return {name: split for name, split in splits.items() if split} if all(splits.values()) else {}


class ImageLines:
    """Finds the images that lines mean."""

    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._images = images

    @cached_property
    def _index(self) -> ImageIndex:
        return ImageIndex(self._images)

    @cached_property
    def _by_path(self) -> dict[str, SourceFile]:
        """By whole path, with the suffix and without it."""
        found = {bare_of(canonical(image.name)): image for image in reversed(self._images)}
        return found | {canonical(image.name): image for image in self._images}

    @cached_property
    def _folded(self) -> dict[str, list[SourceFile]]:
        found: dict[str, list[SourceFile]] = defaultdict(list)
        for image in self._images:
            found[bare_of(canonical(base_of(image.name))).casefold()].append(image)
        return found

    def read(self, file: SourceFile, *, limit: int | None = None) -> ImageList:
        """`limit`: how many lines are read."""
        listed = ImageList(file)
        lines = read_lines(file)
        if lines is None:
            listed.is_read = False
            listed.findings.append(why_unread(file))
            return listed
        if limit is None:
            require_entries(file, len(lines))
        folder = folder_of(file.name)
        for number, line in enumerate(islice(lines, limit), start=1):
            if text := line.strip():
                self._read_line(listed, text, number, folder)
        return listed

    def images_of(self, text: str, folder: str) -> list[str]:
        """The images that a path, a file name or a stem means. `folder`: of the file that it is written in.

        Of several, the path below that folder or above it; else the longest common end of paths; else the nearest.
        """
        parts = path_parts(text)
        base = parts[-1] if parts else ""
        stem = base if " " in suffix_of(base) else bare_of(base)  # `a.jpg 1` has a column
        if self._index.count(stem) > _MANY and (exact := self._exactly(parts, folder)):
            return [exact.name]
        candidates = self._index.file(base) or self._index.stem(stem) or self._of_other_case(base)
        if len(candidates) > 1 and len(parts) > 1:
            path = (*parts[:-1], bare_of(base))
            ends = [common_end(path, bare_of(image.name)) for image in candidates]
            longest = max(ends)
            candidates = [image for image, end in zip(candidates, ends, strict=True) if end == longest]
        names = [image.name for image in candidates]
        if len(names) > 1:  # several datasets in one archive
            shared = [common_folder([name, f"{folder}/list"]).count("/") for name in names]
            nearest = max(shared)
            names = [name for name, count in zip(names, shared, strict=True) if count == nearest]
        return names

    def _read_line(self, listed: ImageList, text: str, number: int, folder: str) -> None:
        listed.lines += 1
        names, column = self.images_of(text, folder), ""
        if not names:  # a name may hold spaces, or be followed by a column (`2008_000002 -1`)
            first, *rest = text.split()
            if len(rest) == 1 or not first.isdigit():  # `0 0.5 0.5 0.1 0.1` is a label
                names, column = self.images_of(first, folder), " ".join(rest)
        path = listed.file.name
        if len({folder_of(name) for name in names}) > 1:
            detail = f"The list names {text[:200]!r}, which could be any of {', '.join(names[:5])}; all are used."
            listed.findings.append(Finding.of("split-list-ambiguous", path, detail, line=number))
        if not names:
            listed.unknown += 1
            listed.names_files += is_image(text) or is_image(text.split()[0])
            detail = f"The list names {text[:200]!r}, which is not in the archive."
            listed.findings.add("split-list-unknown", path, detail, number)
        listed.found.update(dict.fromkeys(names, column))

    def _exactly(self, parts: tuple[str, ...], folder: str) -> SourceFile | None:
        """The longest end of a path that is one below `folder`, or below a folder above it."""
        above = canonical(folder).split("/") if folder != "." else []
        bases = ["/".join((*above[:at], "")) for at in range(len(above), -1, -1)]
        for at in range(len(parts)):
            wanted = "/".join(parts[at:])
            for base in bases:
                if image := self._by_path.get(base + wanted):
                    return image
        return None

    def _of_other_case(self, base: str) -> list[SourceFile]:
        """The only image whose name differs in upper and lower case alone."""
        found = self._folded.get((bare_of(base) if is_image(base) else base).casefold(), [])
        return found if len(found) == 1 else []
