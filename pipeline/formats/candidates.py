"""The images that an annotation may mean, in levels of equal evidence, the strongest first."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.formats.folder_relation import FAR, IMAGE_FOLDERS, MAX_CANDIDATES, Relation, relation
from pipeline.formats.image_index import ImageIndex, canonical, common_end, path_parts
from pipeline.formats.split_names import split_of_folder

_FEW = 32  # images of one name that are all ranked; of more, only those in related folders first
_STATED_AND_OWN, STATED, _OWN, _STATED_STEM = 4, 3, 2, 1


class Reference(NamedTuple):
    """What an annotation states about its image.

    `source`: what annotations of one origin share, a folder or a file; `folder`: that of the annotation; `own`: its
    name without suffix, empty where it does not name an image; `stated`: the name or path in it; `parent`: the folder
    that it states; `split`: the part of a split that its file is for. `listed`: one file lists images of many folders,
    so only common parts of paths count.
    """

    source: str
    folder: str
    own: str = ""
    stated: str = ""
    parent: str = ""
    split: str | None = None
    listed: bool = False


class Rank(NamedTuple):
    evidence: int
    end: int
    relation: Relation
    parent: bool
    image_folder: bool
    spelled: bool


Level = tuple[Rank, list[SourceFile]]


class Candidates:
    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._images = images
        self._index = ImageIndex(images)
        self._folder_ranks: dict[tuple[str, str, str, str | None, bool], tuple[Relation, bool, bool]] = {}
        self._related_folders: dict[str, list[list[str]]] = {}

    def levels(self, reference: Reference) -> Iterator[Level]:
        """Candidates of equal rank, the highest rank first."""
        reported: set[str] = set()
        for evidence, key, is_file in _evidence(reference):
            for group in self._groups(reference, key, is_file):
                if len(group) == 1 and not reported:
                    reported.add(group[0].name)
                    yield self._rank(reference, evidence, group[0]), group
                    continue
                ranked: dict[Rank, list[SourceFile]] = defaultdict(list)
                for image in group:
                    if image.name not in reported:
                        reported.add(image.name)
                        ranked[self._rank(reference, evidence, image)].append(image)
                for rank in sorted(ranked, reverse=True) if len(ranked) > 1 else ranked:
                    yield rank, ranked[rank]
            yield from self._too_many(evidence, key)

    def _too_many(self, evidence: int, key: str) -> Iterator[Level]:
        """Some of the images of a name that is in too many folders to rank them: an ambiguous level."""
        if self._index.count(bare_of(key) if is_image(key) else key) > MAX_CANDIDATES:
            yield Rank(evidence, 0, Relation(0, 0, 0), False, False, False), self._index.file(key)[:5]

    def of_own_name(self, reference: Reference) -> list[SourceFile]:
        own = canonical(reference.own)
        if self._index.count(own) <= _FEW:
            return self._index.stem(own)
        return list(chain.from_iterable(self._near(reference, own)))

    def _groups(self, reference: Reference, key: str, is_file: bool) -> Iterator[list[SourceFile]]:
        stem = bare_of(key) if is_file and is_image(key) else key
        if self._index.count(stem) > _FEW:
            for group in self._near(reference, stem):
                yield [image for image in group if not is_file or self._index.is_named(image, key)]
        if self._index.count(stem) <= MAX_CANDIDATES:
            yield self._index.file(key) if is_file else self._index.stem(key)

    def _near(self, reference: Reference, stem: str) -> Iterator[list[SourceFile]]:
        """Images of a stem that is in very many folders: those by the end of a path, then beside it, then related."""
        parts = path_parts(reference.stated)[:-1]
        for at in range(len(parts)):
            yield self._in(self._folders_by_end.get(parts[at:], ()), stem)
        yield self._in([reference.folder], stem)
        for folders in self._related(reference.folder):
            yield self._in(folders, stem)

    def _in(self, folders: Sequence[str], stem: str) -> list[SourceFile]:
        if len(folders) > MAX_CANDIDATES:
            return []
        return [image for folder in folders for image in self._index.in_folder(folder, stem)]

    @cached_property
    def _folders(self) -> list[str]:
        return sorted({folder_of(image.name) for image in self._images})

    @cached_property
    def _folders_by_end(self) -> dict[tuple[str, ...], list[str]]:
        ends: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for folder in self._folders:
            parts = tuple(canonical(folder).split("/"))
            for at in range(len(parts)):
                ends[parts[at:]].append(folder)
        return ends

    @cached_property
    def _shortened_folders(self) -> dict[tuple[int, str], list[str]]:
        shortened: dict[tuple[int, str], list[str]] = defaultdict(list)
        for folder in self._folders:
            for position, rest in _shortened(folder):
                shortened[position, rest].append(folder)
        return shortened

    def _related(self, folder: str) -> list[list[str]]:
        """Parallel folders, and those with one part less or more, in groups of equal relation, the closest first."""
        if folder not in self._related_folders:
            groups: dict[Relation, list[str]] = defaultdict(list)
            for other in self._siblings(folder):
                groups[relation(folder, other)].append(other)
            ordered = sorted((near for near in groups if near.degree != FAR), reverse=True)
            self._related_folders[folder] = [groups[near] for near in ordered]
        return self._related_folders[folder]

    def _siblings(self, folder: str) -> Iterator[str]:
        shortened = _shortened(folder)
        own = "" if folder == "." else folder
        yield from (rest or "." for _, rest in shortened)
        for key in (*shortened, *((at, own) for at in range(len(shortened) + 1))):
            siblings = self._shortened_folders.get(key, ())
            yield from siblings if len(siblings) <= MAX_CANDIDATES else ()

    def _rank(self, reference: Reference, evidence: int, image: SourceFile) -> Rank:
        folder, _, base = image.name.rpartition("/")
        end = 1
        if evidence >= STATED and ("/" in reference.stated or "\\" in reference.stated):
            end = common_end(path_parts(reference.stated), image.name)
        spelled = "%" not in base or base == base_of(reference.stated) or bare_of(base) == reference.own
        return Rank(evidence, end, *self._folder_rank(reference, folder or "."), spelled)

    def _folder_rank(self, reference: Reference, folder: str) -> tuple[Relation, bool, bool]:
        key = (reference.folder, folder, reference.parent, reference.split, reference.listed)
        if key not in self._folder_ranks:
            near = relation(reference.folder, folder)
            if reference.listed:
                in_split = reference.split is not None and reference.split in map(split_of_folder, folder.split("/"))
                near = Relation(int(in_split), near.closeness, 0)
            name = base_of(folder)
            parent = bool(reference.parent) and name == base_of(reference.parent.replace("\\", "/"))
            self._folder_ranks[key] = (near, parent, name.lower() in IMAGE_FOLDERS)
        return self._folder_ranks[key]


def _evidence(reference: Reference) -> Iterator[tuple[int, str, bool]]:
    """(evidence, canonical key, whether the key is a file name), the strongest first."""
    own = canonical(reference.own)
    if own and is_image(own):  # `a.jpg.txt`
        yield _STATED_AND_OWN, own, True
    base = ""
    if reference.stated:
        base = (path_parts(reference.stated) or ("",))[-1]
        agrees = own in ("", base, bare_of(base))
        yield (_STATED_AND_OWN if agrees else STATED), base, True
    if own:
        yield _OWN, own, False
    if base:
        yield _STATED_STEM, bare_of(base), False


def _shortened(folder: str) -> list[tuple[int, str]]:
    """(position, rest) of the folder without one of its parts: equal for sibling folders."""
    parts = () if folder == "." else tuple(folder.split("/"))
    return [(at, "/".join((*parts[:at], *parts[at + 1 :]))) for at in range(len(parts))]
