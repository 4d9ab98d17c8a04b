"""Matches annotations to images by ranked evidence: the strongest pairs over all first, never in the order of names.

Evidence, strongest first: the file name that an annotation states, by the longest common end where it is a path; the
annotation's own name in the same folder, in a parallel one, one level up or down, in the nearest one. An annotation
does not take an image from a folder that has annotations of its own.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.formats.folder_relation import FAR, IMAGE_FOLDERS, MAX_CANDIDATES, PARALLEL, Relation, relation
from pipeline.formats.image_index import ImageIndex, canonical, common_end, path_parts
from pipeline.formats.split_names import split_of_folder

_FEW = 32  # images of one name that are all ranked; of more, only those in related folders first
_STATED_AND_OWN, _STATED, _OWN, _STATED_STEM = 4, 3, 2, 1


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


class _Rank(NamedTuple):
    evidence: int
    end: int
    relation: Relation
    parent: bool
    image_folder: bool
    spelled: bool


@dataclass(slots=True)
class Matches:
    """By number of the annotation. `lost`: with the image of this name that belongs to other annotations, if any."""

    image_of: dict[int, SourceFile] = field(default_factory=dict)
    ambiguous: dict[int, list[SourceFile]] = field(default_factory=dict)
    twice: dict[int, SourceFile] = field(default_factory=dict)
    lost: dict[int, SourceFile | None] = field(default_factory=dict)


def match(count: int, reference_of: Callable[[int], Reference], images: Sequence[SourceFile]) -> Matches:
    """Each of `count` annotations gets at most one image, and each image at most one annotation.

    Candidates of equal rank are ambiguous; of annotations of equal rank for one image the first gets it.
    """
    return _Matching(count, reference_of, images).run()


_Level = tuple[_Rank, list[SourceFile]]


class _Matching:
    def __init__(self, count: int, reference_of: Callable[[int], Reference], images: Sequence[SourceFile]) -> None:
        self._reference_of = reference_of
        self._candidates = _Candidates(images)
        self._homes = _Homes()
        self._matches = Matches()
        self._taken: dict[str, _Rank] = {}
        self._waiting: dict[_Rank, list[tuple[int, list[SourceFile]]]] = defaultdict(list)
        self._ranks: list[tuple[tuple[int, ...], _Rank]] = []  # a heap, the highest first
        self._levels: dict[int, Iterator[_Level]] = {}  # of those whose first candidates went to others
        for number in range(count):
            reference = reference_of(number)
            level = next(self._candidates.levels(reference), None)
            if level is None:
                self._matches.lost[number] = None
                continue
            rank, found = level
            self._homes.add(reference, rank.relation, found)
            self._add(number, rank, found)

    def run(self) -> Matches:
        while self._ranks:
            _, rank = heapq.heappop(self._ranks)
            self._match_rank(rank, self._waiting.pop(rank))
        return self._matches

    def _add(self, number: int, rank: _Rank, found: list[SourceFile]) -> None:
        if rank not in self._waiting:
            heapq.heappush(self._ranks, (_descending(rank), rank))
        self._waiting[rank].append((number, found))

    def _match_rank(self, rank: _Rank, waiting: list[tuple[int, list[SourceFile]]]) -> None:
        """All of one rank see the same free images, whatever their order."""
        free_of = [(number, self._free(number, rank, found)) for number, found in waiting]
        for number, free in free_of:
            if not free:
                self._try_next(number)
            elif len(free) > 1:
                self._matches.ambiguous[number] = free
            elif other := self._contradiction(number, rank, free[0]):
                self._matches.ambiguous[number] = [free[0], other]
            elif free[0].name in self._taken:
                self._matches.twice[number] = free[0]
            else:
                self._taken[free[0].name] = rank
                self._matches.image_of[number] = free[0]
                self._levels.pop(number, None)

    def _free(self, number: int, rank: _Rank, found: list[SourceFile]) -> list[SourceFile]:
        free = [image for image in found if image.name not in self._taken]
        if not free:
            return free
        reference = self._reference_of(number)
        return [image for image in free if not self._homes.keep_out(reference, folder_of(image.name), rank.relation)]

    def _try_next(self, number: int) -> None:
        levels = self._levels.get(number)
        if levels is None:
            levels = self._levels[number] = self._candidates.levels(self._reference_of(number))
            next(levels)
        for lower, found in levels:
            if any(image.name not in self._taken for image in found):
                self._add(number, lower, found)
                return
        del self._levels[number]
        self._give_up(number)

    def _give_up(self, number: int) -> None:
        reference = self._reference_of(number)
        of_others: SourceFile | None = None
        for rank, found in self._candidates.levels(reference):
            for image in found:
                kept_out = self._homes.keep_out(reference, folder_of(image.name), rank.relation)
                taken = self._taken.get(image.name)
                equal = taken is not None and (reference.listed or _is_equal(taken, rank))
                if equal and not kept_out:
                    self._matches.twice[number] = image
                    return
                if kept_out:
                    of_others = of_others or image
        self._matches.lost[number] = of_others

    def _contradiction(self, number: int, rank: _Rank, image: SourceFile) -> SourceFile | None:
        """Another image with the annotation's own name, beside it or in a parallel folder, where it states this one."""
        if rank.evidence != _STATED:
            return None
        reference = self._reference_of(number)
        if not reference.own:
            return None
        for other in self._candidates.of_own_name(reference):
            near = relation(reference.folder, folder_of(other.name))
            if near.degree >= PARALLEL and not self._homes.keep_out(reference, folder_of(other.name), near):
                return other if other is not image else None
        return None


def _descending(rank: _Rank) -> tuple[int, ...]:
    evidence, end, (degree, closeness, affinity), *rest = rank
    return tuple(-part for part in (evidence, end, degree, closeness, affinity, *rest))


def _is_equal(taken: _Rank, rank: _Rank) -> bool:
    return taken.evidence == rank.evidence and taken.relation.degree == rank.relation.degree


class _Homes:
    """The folders where annotations of each source have their first candidates, by the strongest relation."""

    def __init__(self) -> None:
        self._of_source: dict[str, Relation] = {}
        self._of_folder: dict[str, tuple[Relation, str]] = {}

    def add(self, reference: Reference, near: Relation, images: list[SourceFile]) -> None:
        self._of_source[reference.source] = max(near, self._of_source.get(reference.source, near))
        for image in images:
            folder = folder_of(image.name)
            known = self._of_folder.get(folder)
            if known is None or known[0] < near:
                self._of_folder[folder] = (near, reference.source)

    def keep_out(self, reference: Reference, folder: str, near: Relation) -> bool:
        """Whether the images of `folder` are for annotations nearer to it than this one.

        One that has no nearer folder of its own may share it with annotations of the same degree, and one below the
        folder of those annotations is one of them.
        """
        best, owner = self._of_folder.get(folder, (near, reference.source))
        if best < near or owner == reference.source:
            return False
        if self._of_source.get(reference.source, near) > near:
            return True
        return best.degree != near.degree and not reference.folder.startswith(f"{owner}/")


class _Candidates:
    def __init__(self, images: Sequence[SourceFile]) -> None:
        self._images = images
        self._index = ImageIndex(images)
        self._folder_ranks: dict[tuple[str, str, str, str | None, bool], tuple[Relation, bool, bool]] = {}
        self._related_folders: dict[str, list[list[str]]] = {}

    def levels(self, reference: Reference) -> Iterator[_Level]:
        """Candidates of equal rank, the highest rank first."""
        reported: set[str] = set()
        for evidence, key, is_file in _evidence(reference):
            for group in self._groups(reference, key, is_file):
                if len(group) == 1 and not reported:
                    reported.add(group[0].name)
                    yield self._rank(reference, evidence, group[0]), group
                    continue
                ranked: dict[_Rank, list[SourceFile]] = defaultdict(list)
                for image in group:
                    if image.name not in reported:
                        reported.add(image.name)
                        ranked[self._rank(reference, evidence, image)].append(image)
                for rank in sorted(ranked, reverse=True) if len(ranked) > 1 else ranked:
                    yield rank, ranked[rank]
            yield from self._too_many(evidence, key)

    def _too_many(self, evidence: int, key: str) -> Iterator[_Level]:
        """Some of the images of a name that is in too many folders to rank them: an ambiguous level."""
        if self._index.count(bare_of(key) if is_image(key) else key) > MAX_CANDIDATES:
            yield _Rank(evidence, 0, Relation(0, 0, 0), False, False, False), self._index.file(key)[:5]

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

    def _rank(self, reference: Reference, evidence: int, image: SourceFile) -> _Rank:
        folder, _, base = image.name.rpartition("/")
        end = 1
        if evidence >= _STATED and ("/" in reference.stated or "\\" in reference.stated):
            end = common_end(path_parts(reference.stated), image.name)
        spelled = "%" not in base or base == base_of(reference.stated) or bare_of(base) == reference.own
        return _Rank(evidence, end, *self._folder_rank(reference, folder or "."), spelled)

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
        yield (_STATED_AND_OWN if agrees else _STATED), base, True
    if own:
        yield _OWN, own, False
    if base:
        yield _STATED_STEM, bare_of(base), False


def _shortened(folder: str) -> list[tuple[int, str]]:
    """(position, rest) of the folder without one of its parts: equal for sibling folders."""
    parts = () if folder == "." else tuple(folder.split("/"))
    return [(at, "/".join((*parts[:at], *parts[at + 1 :]))) for at in range(len(parts))]
