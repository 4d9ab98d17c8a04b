"""Where images that are added to a dataset belong: no image that is there changes its split, and no near-duplicates of
different splits come with the added ones.

An added image follows the split of what it resembles. One that resembles images of two splits would tie them together,
and is left out. The rest belongs nowhere yet, in groups of near-duplicates that stay together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.dataset.near_duplicates import are_near, group_near_duplicates


class Content(NamedTuple):
    """What images are compared by. `phash` is None for one that is too uniform for one."""

    sha256: str
    phash: bytes | None


@dataclass(frozen=True, slots=True)
class Placement:
    """`splits`: sha256 -> split of added images that follow others; `tied`: sha256 -> two images of different splits
    that it resembles; `free`: sha256 -> name of its group, of all others."""

    splits: dict[str, str] = field(default_factory=dict)
    tied: dict[str, tuple[str, str]] = field(default_factory=dict)
    free: dict[str, str] = field(default_factory=dict)


def place(
    fixed: Mapping[Content, str], added: Iterable[Content], check: Callable[[], None] = lambda: None
) -> Placement:
    """`fixed`: content -> split of the images that are there, or were in an earlier revision; `added`: others, each
    content once. The order does not matter. `check` as in `group_near_duplicates`."""
    new = sorted(set(added), key=lambda each: each.sha256)
    groups = group_near_duplicates([*fixed, *new], check)
    members: dict[str, list[Content]] = defaultdict(list)
    wanted = {groups[each.sha256] for each in new}
    for content in sorted(fixed, key=lambda each: each.sha256):
        if (name := groups[content.sha256]) in wanted:
            members[name].append(content)
    found = Placement()
    clusters: dict[str, list[Content]] = defaultdict(list)
    for content in new:
        clusters[groups[content.sha256]].append(content)
    for name, cluster in clusters.items():
        check()
        _place_group(found, name, cluster, {content: fixed[content] for content in members[name]})
    return found


def _place_group(found: Placement, name: str, cluster: list[Content], fixed: Mapping[Content, str]) -> None:
    splits = set(fixed.values())
    if not splits:
        found.free.update((each.sha256, name) for each in cluster)
    elif len(splits) == 1:
        found.splits.update((each.sha256, next(iter(splits))) for each in cluster)
    else:
        _place_between(found, cluster, fixed)


def _place_between(found: Placement, cluster: list[Content], fixed: Mapping[Content, str]) -> None:
    """One after the other, by what each resembles itself: of the images that are there, and of those placed before."""
    placed: list[Content] = list(fixed)
    parts: dict[str, set[str]] = {}  # sha256 -> all of its part, for those that are near no image of a split yet
    for content in cluster:
        near = [placed[at] for at in are_near(content.phash, [each.phash for each in placed])]
        of_split: dict[str, str] = {}
        for other in near:
            if split := fixed.get(other) or found.splits.get(other.sha256):
                of_split.setdefault(split, other.sha256)
        if len(of_split) > 1:
            first, second = sorted(of_split)[:2]
            found.tied[content.sha256] = (of_split[first], of_split[second])
            continue
        placed.append(content)
        part = {content.sha256}.union(*(parts[other.sha256] for other in near if other.sha256 in parts))
        if of_split:
            found.splits.update((each, next(iter(of_split))) for each in part)
            for each in part:
                parts.pop(each, None)
        else:
            parts.update((each, part) for each in part)
    found.free.update((each, min(part)) for each, part in parts.items())
