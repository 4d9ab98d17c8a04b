"""Near-duplicates: groups of similar images, by their perceptual hashes, without comparing all pairs.

Two images are near-duplicates when of the 64 low bits of their hashes at most 6 differ, and of all 256 at most 32.
Groups are the connected components: an image is in the group of each of its near-duplicates, so no two of them are
ever in different groups.

The index: 6 differing bits touch at most 6 of 8 bytes, so two bytes are equal. Each of the 28 pairs of bytes sorts the
hashes into buckets by its 16 bits, and only within a bucket are hashes compared, each with the next `WINDOW`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from core.domain.findings import Finding
from pipeline.dataset.model import DatasetImage
from pipeline.decode.phash import LOW_BYTES, PHASH_BYTES

MAX_LOW_BITS = 6
MAX_BITS = 32
# A bucket of more hashes than this (thousands of stills of one scene) is compared in the order of the whole hash, each
# with so many neighbours: the work stays linear in the number of images.
WINDOW = 128

_Ints = npt.NDArray[np.intp]
_Keys = npt.NDArray[np.uint32]
_Phashes = npt.NDArray[np.uint64]  # n x 4: the 256 bits of each


class Groups(dict[str, str]):
    """Name -> the smallest name of its group. Only names that are not the smallest themselves are kept."""

    def __missing__(self, name: str) -> str:
        return name


def group_near_duplicates(
    phashes: Iterable[tuple[str, bytes | None]], check: Callable[[], None] = lambda: None
) -> Groups:
    """The groups of these names, each with its hash. A name without a hash is a group of its own.

    The order does not matter. `check` is called at intervals and may raise to stop: the worst set of 100,000 images
    takes half a minute.
    """
    pairs = sorted((phash, name) for name, phash in phashes if phash is not None)
    distinct = [(phash, [name for _, name in same]) for phash, same in groupby(pairs, key=itemgetter(0))]
    roots = _connected(_as_array([phash for phash, _ in distinct]), check).tolist()
    smallest: dict[int, str] = {}
    for root, (_, names) in zip(roots, distinct, strict=True):
        smallest[root] = min(smallest.get(root, names[0]), names[0])
    groups = Groups()
    for root, (_, names) in zip(roots, distinct, strict=True):
        representative = smallest[root]
        groups.update((name, representative) for name in names if name != representative)
    return groups


def near_duplicate_notes(images: list[DatasetImage], groups: Mapping[str, str]) -> Iterator[Finding]:
    """A note for each near-duplicate of an earlier image. Images of the same bytes have a note of their own already."""
    first: dict[str, DatasetImage] = {}
    reported: set[str] = set()
    for image in images:
        representative = first.setdefault(groups[image.sha256], image)
        if representative.sha256 == image.sha256 or image.sha256 in reported:
            continue
        reported.add(image.sha256)
        detail = f"Looks like {representative.name}: almost the same image, or one of a series."
        yield Finding.of("image-near-duplicate", image.name, detail)


def differing_bits(phash: bytes, others: list[bytes]) -> list[int]:
    """How many of the 256 bits differ between `phash` and each of `others`."""
    return [int(bits) for bits in np.bitwise_count(_as_array(others) ^ _as_array([phash])).sum(axis=1)]


def are_near(phash: bytes | None, others: Sequence[bytes | None]) -> list[int]:
    """The numbers of those of `others` that are near-duplicates of `phash`, each compared with it."""
    comparable = [(at, other) for at, other in enumerate(others) if other is not None]
    if phash is None or not comparable:
        return []
    hashes = _as_array([phash, *(other for _, other in comparable)])
    near = _are_near(hashes, np.zeros(len(comparable), dtype=np.intp), np.arange(1, len(hashes), dtype=np.intp))
    return [at for (at, _), is_near in zip(comparable, near.tolist(), strict=True) if is_near]


def _as_array(phashes: list[bytes]) -> _Phashes:
    return np.frombuffer(b"".join(phashes), dtype=np.uint64).reshape(-1, PHASH_BYTES // 8)


def _connected(phashes: _Phashes, check: Callable[[], None]) -> _Ints:
    """For each hash the number of the first hash of its group."""
    roots = np.arange(len(phashes), dtype=np.int64)
    low: _Keys = phashes.view(np.uint8).reshape(-1, PHASH_BYTES)[:, :LOW_BYTES].astype(np.uint32)
    for first, second in combinations(range(LOW_BYTES), 2):
        check()
        key: _Keys = low[:, first] * np.uint32(256) + low[:, second]
        order = np.argsort(key, kind="stable")  # within a bucket: in the order of the whole hash
        roots = _join_buckets(phashes, order, key[order], roots)
    return roots


def _join_buckets(phashes: _Phashes, order: _Ints, keys: _Keys, roots: _Ints) -> _Ints:
    places = np.arange(len(keys))
    for step in range(1, WINDOW + 1):
        places = places[places + step < len(keys)]
        places = places[keys[places] == keys[places + step]]
        if not len(places):
            break
        left, right = order[places], order[places + step]
        separate = roots[left] != roots[right]  # those in one group already need no comparison
        left, right = left[separate], right[separate]
        near = _are_near(phashes, left, right)
        roots = _joined(roots, left[near], right[near])
    return roots


def _are_near(phashes: _Phashes, left: _Ints, right: _Ints) -> npt.NDArray[np.bool_]:
    bits: npt.NDArray[np.uint8] = np.bitwise_count(phashes[left] ^ phashes[right])
    near: npt.NDArray[np.bool_] = (bits[:, 0] <= MAX_LOW_BITS) & (bits.sum(axis=1) <= MAX_BITS)
    return near


def _joined(roots: _Ints, left: _Ints, right: _Ints) -> _Ints:
    """Union by the smaller root, then every hash points at its root again."""
    if not len(left):
        return roots
    parent = roots.copy()
    pairs = set((roots[left] * len(roots) + roots[right]).tolist())  # as one number; np.unique imports half of numpy
    for pair in sorted(pairs):
        low, high = sorted(_root(parent, one) for one in divmod(pair, len(roots)))
        parent[high] = low
    while True:
        higher = parent[parent]
        if np.array_equal(higher, parent):
            return parent
        parent = higher


def _root(parent: _Ints, number: int) -> int:
    while parent[number] != number:
        number = int(parent[number])
    return number
