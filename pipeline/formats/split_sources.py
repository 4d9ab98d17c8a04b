"""Merges what several sources state about the split, the strongest first, and reports where they disagree."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.formats.split_names import TRAINVAL

_STRICTER = {TRAINVAL: 0, "train": 1, "val": 2, "test": 3}  # a test image that is trained on tests nothing


@dataclass(frozen=True, slots=True, eq=False)
class SplitSource:
    """`name`: in messages; `path`: of findings, empty for the first image; `of`: image name -> split or TRAINVAL.

    `is_hint`: of another task (`ImageSets/Segmentation`), whose images may be held out there alone.
    """

    name: str
    path: str
    of: Mapping[str, str]
    is_hint: bool = False


@dataclass(slots=True)
class MergedSplit:
    """`of`: image name -> split. `doubtful`: images that would be trained on while a source holds them out."""

    of: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)


class _Stated(NamedTuple):
    split: str
    source: SplitSource


class _Dispute(NamedTuple):
    """`counts`: whose statement is followed."""

    counts: SplitSource
    other: SplitSource
    split: str
    other_split: str


def merge_sources(ranks: Sequence[Sequence[SplitSource]], images: int) -> MergedSplit:
    """`ranks`: the strongest first; the sources of one rank are equal, and an image that one of them holds out is held
    out. `images`: how many the dataset has.

    What a stronger source leaves open a weaker one decides. Where following the stronger one would train on an image
    that the weaker one holds out, that is an error.
    """
    decided: dict[str, _Stated] = {}
    disputes: dict[_Dispute, list[str]] = defaultdict(list)
    for rank in ranks:
        for image, stated in _merge_equals(rank, disputes).items():
            before = decided.get(image)
            if before is None or (before.split == TRAINVAL and stated.split in ("train", "val")):
                decided[image] = stated
            elif _differ(before.split, stated.split):
                disputes[_Dispute(before.source, stated.source, before.split, stated.split)].append(image)
    merged = MergedSplit({name: "train" if s.split == TRAINVAL else s.split for name, s in decided.items()})
    of_rank = {id(source): number for number, rank in enumerate(ranks) for source in rank}
    nothing_left = len(merged.of) == images and "train" not in merged.of.values()
    for dispute, names in disputes.items():
        weaker = of_rank[id(dispute.counts)] < of_rank[id(dispute.other)]
        is_error = _trains_on_held_out(dispute) if weaker else nothing_left
        _report(merged, dispute, sorted(names), weaker=weaker, is_error=is_error)
    return merged


def _merge_equals(rank: Sequence[SplitSource], disputes: Mapping[_Dispute, list[str]]) -> dict[str, _Stated]:
    found: dict[str, _Stated] = {}
    for source in sorted(rank, key=lambda source: min(map(_STRICTER.__getitem__, source.of.values()), default=0)):
        for image, split in source.of.items():
            before = found.get(image)
            stated = _Stated(split, source)
            if before is None:
                found[image] = stated
                continue
            counts, other = (stated, before) if _STRICTER[split] > _STRICTER[before.split] else (before, stated)
            found[image] = counts
            if _differ(split, before.split):
                disputes[_Dispute(counts.source, other.source, counts.split, other.split)].append(image)
    return found


def _differ(left: str, right: str) -> bool:
    return left != right and not (TRAINVAL in (left, right) and "test" not in (left, right))


def _trains_on_held_out(dispute: _Dispute) -> bool:
    held_out = dispute.other_split in HELD_OUT_SPLITS and dispute.split not in HELD_OUT_SPLITS
    return held_out and not dispute.other.is_hint


def _report(merged: MergedSplit, dispute: _Dispute, names: list[str], *, weaker: bool, is_error: bool) -> None:
    counts, other, split, other_split = dispute
    are = counted(len(names), "image is", "images are")
    detail = f"{are} for {split} by {counts.name} and for {other_split} by {other.name}, such as {names[0]}"
    path = (other.path if weaker else counts.path) or names[0]
    if not is_error:
        detail += f"; {counts.name} counts."
        merged.findings.append(Finding.of("split-conflict", path, detail))
        return
    if split in HELD_OUT_SPLITS:
        detail += ". No image is left to train on."
    else:
        detail += f": {'it' if len(names) == 1 else 'they'} would be trained on."
    merged.findings.append(Finding.of("split-held-out", path, detail))
    merged.doubtful.update(names)
