"""Groups of images that look alike (`pipeline.decode.phash_index`), made in a decoding process."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from core.domain.errors import PreparationFailed
from pipeline.decode.pool import Crash, decode_all
from pipeline.decode.tasks import connect

_SECONDS = 3600.0  # the worst set of 100,000 images takes half a minute, and there may be a slower machine


class Groups(dict[str, str]):
    """Name -> the smallest name of its group; only those are kept that are not it themselves."""

    def __missing__(self, name: str) -> str:
        return name


def group_alike(
    looks: Iterable[tuple[str, bytes | None]], tick: Callable[[int, int], None] = lambda *_: None
) -> Groups:
    """The groups of these names, each with its look. One without is a group of its own. The order plays no part.

    `tick(done, total)` may raise to stop.
    """
    found = sorted((look, name) for name, look in looks if look is not None)
    distinct = b"".join(look for look, _ in _by_look(found))
    roots = _roots_of(distinct, tick)
    joined = {root for number, root in enumerate(roots) if root != number}
    smallest: dict[int, str] = {}  # of the groups of several looks
    for root, (_, names) in zip(roots, _by_look(found), strict=True):
        if root in joined:
            smallest[root] = min(smallest.get(root, names[0]), names[0])
    groups = Groups()
    for root, (_, names) in zip(roots, _by_look(found), strict=True):
        leader = smallest.get(root, names[0])
        groups.update((name, leader) for name in names if name != leader)
    return groups


def _by_look(found: list[tuple[bytes, str]]) -> Iterator[tuple[bytes, list[str]]]:
    """Each look once, with the names that have it: in order, as they are in `found`."""
    for look, pairs in groupby(found, key=itemgetter(0)):
        yield look, [name for _, name in pairs]


def _roots_of(looks: bytes, tick: Callable[[int, int], None]) -> "array[int]":
    if not looks:
        return array("q")
    (roots,) = decode_all(connect, [looks], processes=1, tick=tick, seconds=_SECONDS)
    if isinstance(roots, Crash):
        raise PreparationFailed(f"Looking for near-duplicates {roots.why}.")
    return array("q", roots)
