"""Matches annotations to images by ranked evidence: the strongest pairs over all first, never in the order of names.

Evidence, strongest first: the file name that an annotation states, by the longest common end where it is a path; the
annotation's own name in the same folder, in a parallel one, one level up or down, in the nearest one. An annotation
does not take an image from a folder that has annotations of its own.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.archive.entry_names import folder_of
from pipeline.archive.source import SourceFile
from pipeline.formats.candidates import STATED, Candidates, Level, Rank, Reference
from pipeline.formats.folder_relation import PARALLEL, Relation, relation


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


class _Matching:
    def __init__(self, count: int, reference_of: Callable[[int], Reference], images: Sequence[SourceFile]) -> None:
        self._reference_of = reference_of
        self._candidates = Candidates(images)
        self._homes = _Homes()
        self._matches = Matches()
        self._taken: dict[str, Rank] = {}
        self._waiting: dict[Rank, list[tuple[int, list[SourceFile]]]] = defaultdict(list)
        self._ranks: list[tuple[tuple[int, ...], Rank]] = []  # a heap, the highest first
        self._levels: dict[int, Iterator[Level]] = {}  # of those whose first candidates went to others
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

    def _add(self, number: int, rank: Rank, found: list[SourceFile]) -> None:
        if rank not in self._waiting:
            heapq.heappush(self._ranks, (_descending(rank), rank))
        self._waiting[rank].append((number, found))

    def _match_rank(self, rank: Rank, waiting: list[tuple[int, list[SourceFile]]]) -> None:
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

    def _free(self, number: int, rank: Rank, found: list[SourceFile]) -> list[SourceFile]:
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

    def _contradiction(self, number: int, rank: Rank, image: SourceFile) -> SourceFile | None:
        """Another image with the annotation's own name, beside it or in a parallel folder, where it states this one."""
        if rank.evidence != STATED:
            return None
        reference = self._reference_of(number)
        if not reference.own:
            return None
        for other in self._candidates.of_own_name(reference):
            near = relation(reference.folder, folder_of(other.name))
            if near.degree >= PARALLEL and not self._homes.keep_out(reference, folder_of(other.name), near):
                return other if other is not image else None
        return None


def _descending(rank: Rank) -> tuple[int, ...]:
    evidence, end, (degree, closeness, affinity), *rest = rank
    return tuple(-part for part in (evidence, end, degree, closeness, affinity, *rest))


def _is_equal(taken: Rank, rank: Rank) -> bool:
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
