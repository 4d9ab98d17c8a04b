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
    phashes: Iterable[tuple[str, bytes | None]], tick: Callable[[int, int], None] = lambda *_: None
) -> Groups:
    """The groups of these names, each with its look. One without is a group of its own. The order plays no part.

    `tick(done, total)` may raise to stop.
    """
    found = sorted((phash, name) for name, phash in phashes if phash is not None)
    distinct = b"".join(phash for phash, _ in _by_phash(found))
    roots = _roots_of(distinct, tick)
    joined = {root for number, root in enumerate(roots) if root != number}
    smallest: dict[int, str] = {}  # of the groups of several looks
    for root, (_, names) in zip(roots, _by_phash(found), strict=True):
        if root in joined:
            smallest[root] = min(smallest.get(root, names[0]), names[0])
    groups = Groups()
    for root, (_, names) in zip(roots, _by_phash(found), strict=True):
        leader = smallest.get(root, names[0])
        groups.update((name, leader) for name in names if name != leader)
    return groups


def _by_phash(found: list[tuple[bytes, str]]) -> Iterator[tuple[bytes, list[str]]]:
    """Each look once, with the names that have it: in order, as they are in `found`."""
    for phash, pairs in groupby(found, key=itemgetter(0)):
        yield phash, [name for _, name in pairs]


def _roots_of(phashes: bytes, tick: Callable[[int, int], None]) -> "array[int]":
    if not phashes:
        return array("q")
    (roots,) = decode_all(connect, [phashes], processes=1, tick=tick, seconds=_SECONDS)
    if isinstance(roots, Crash):
        raise PreparationFailed(f"Looking for near-duplicates {roots.why}.")
    return array("q", roots)
