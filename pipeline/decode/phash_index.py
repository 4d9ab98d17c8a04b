"""Which images look alike, found by an index and never by comparing all pairs.

Alike: of the 64 low bits of their looks at most 6 differ, and of all 256 at most 32. Groups are the connected parts:
an image that is like another is in its group, so no two that are alike are ever in different groups.

The index: 6 differing bits touch at most 6 of 8 bytes, so two bytes are equal. Each of the 28 pairs of bytes sorts the
looks into buckets of its 16 bits, and only within a bucket are looks compared, each with the next `WINDOW`.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from pipeline.decode.phash import LOW_BYTES, PHASH_BYTES

MAX_LOW_BITS = 6
MAX_BITS = 32
# A bucket of more looks than this (thousands of stills of one scene) is compared in the order of the whole look, each
# with so many neighbours: the work stays linear in the number of images.
WINDOW = 128

_Ints = npt.NDArray[np.intp]
_Keys = npt.NDArray[np.uint32]
_Phashes = npt.NDArray[np.uint64]  # n x 4: the 256 bits of each


def roots_of(phashes: bytes) -> _Ints:
    """For each of these looks, one after the other, the number of the first one of its group."""
    return _connected(_as_array([phashes]))


def differing_bits(phash: bytes, others: list[bytes]) -> list[int]:
    """How many of the 256 bits differ between `look` and each of `others`."""
    return [int(bits) for bits in np.bitwise_count(_as_array(others) ^ _as_array([phash])).sum(axis=1)]


def _as_array(phashes: list[bytes]) -> _Phashes:
    return np.frombuffer(b"".join(phashes), dtype=np.uint64).reshape(-1, PHASH_BYTES // 8)


def _connected(phashes: _Phashes) -> _Ints:
    """For each look the number of the first look of its group."""
    roots = np.arange(len(phashes), dtype=np.int64)
    low: _Keys = phashes.view(np.uint8).reshape(-1, PHASH_BYTES)[:, :LOW_BYTES].astype(np.uint32)
    for first, second in combinations(range(LOW_BYTES), 2):
        key: _Keys = low[:, first] * np.uint32(256) + low[:, second]
        order = np.argsort(key, kind="stable")  # within a bucket: in the order of the whole look
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
        apart = roots[left] != roots[right]  # those in one group already need no comparison
        left, right = left[apart], right[apart]
        alike = _alike(phashes, left, right)
        roots = _joined(roots, left[alike], right[alike])
    return roots


def _alike(phashes: _Phashes, left: _Ints, right: _Ints) -> npt.NDArray[np.bool_]:
    bits: npt.NDArray[np.uint8] = np.bitwise_count(phashes[left] ^ phashes[right])
    alike: npt.NDArray[np.bool_] = (bits[:, 0] <= MAX_LOW_BITS) & (bits.sum(axis=1) <= MAX_BITS)
    return alike


def _joined(roots: _Ints, left: _Ints, right: _Ints) -> _Ints:
    """Union by the smaller root, then every look points at its root again."""
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
