"""The images of a frozen test set, as a list, and which other images match them.

An image matches where its content is the same, or where its perceptual hash is near that of a frozen image or of a crop
of it, by the rule of near-duplicates (docs/decisions/0010 and 0057). The list has the hashes of 81 crops of each image:
a hash alone does not find an image of which 5 % are cut off at an edge.

A crop that is near an image of train or val of the frozen dataset itself is left out of the list.

The list is a file of JSON whose sha256 names it: `python -m pipeline fingerprint data.zip --exclude list.json` leaves
out the same images as the service.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataset.near_duplicates import MAX_BITS, MAX_LOW_BITS
from pipeline.decode.phash import CROPS, LOW_BYTES, PHASH_BYTES

SCHEMA = "darkroom-frozen-images/1"
_AT_ONCE = 4_000_000  # pairs of hashes that are compared in memory
_KEYS = 1 << 16  # of two bytes
_NONE = np.iinfo(np.int64).max

_Phashes = npt.NDArray[np.uint64]  # n x 4: the 256 bits of each
_Places = npt.NDArray[np.int32]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FrozenImage:
    """`hashes`: that of the image and those of its crops, 32 bytes each; empty for a flat image."""

    path: str
    sha256: str
    hashes: bytes


@dataclass(frozen=True, slots=True)
class FrozenMatch:
    """`path`: of the frozen image. `bits`: how many of 256 differ; None for the same content."""

    path: str
    bits: int | None


@dataclass(frozen=True, slots=True)
class FrozenImages:
    """In the order of their paths. `sha256`: of the list."""

    images: Sequence[FrozenImage]
    sha256: str

    @property
    def contents(self) -> frozenset[str]:
        """The sha256 of each."""
        return frozenset(image.sha256 for image in self.images)

    def matches(
        self, contents: Iterable[tuple[str, bytes | None]], check: Callable[[], None] = lambda: None
    ) -> dict[str, FrozenMatch]:
        """sha256 -> the frozen image that it matches: the same content, else the nearest, of several the first.

        `contents`: sha256 and perceptual hash of each image. `check` is called at intervals and may raise to stop.
        """
        same = {image.sha256: FrozenMatch(image.path, None) for image in reversed(self.images)}
        distinct = dict(contents)
        others = [(sha256, phash) for sha256, phash in distinct.items() if sha256 not in same and phash is not None]
        found = {sha256: same[sha256] for sha256 in distinct if sha256 in same}
        hashes, owners = self._hashes()
        if len(others) and len(hashes):
            codes = _nearest(_as_array(b"".join(phash for _, phash in others)), hashes, owners, check)
            for (sha256, _), code in zip(others, codes.tolist(), strict=True):
                if code != _NONE:
                    bits, owner = divmod(code, len(self.images))
                    found[sha256] = FrozenMatch(self.images[owner].path, bits)
        return found

    def _hashes(self) -> tuple[_Phashes, _Ints]:
        """All hashes, and the place of the image of each."""
        counts = [len(image.hashes) // PHASH_BYTES for image in self.images]
        return _as_array(b"".join(image.hashes for image in self.images)), np.repeat(np.arange(len(counts)), counts)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a preparation leaves out. `keeps_test`: but for the frozen images themselves, byte for byte, where the
    archive gives them as test, which is so where a dataset extends the frozen one. `generation`: of the frozen test
    set, where it is known."""

    frozen: FrozenImages
    keeps_test: bool = False
    generation: int | None = None

    def as_json(self, images: int) -> dict[str, Any]:
        """`images`: how many were left out."""
        return {"generation": self.generation, "sha256": self.frozen.sha256, "images": images}


def without_ambiguous_crops(
    images: Sequence[FrozenImage], others: Iterable[bytes], check: Callable[[], None] = lambda: None
) -> list[FrozenImage]:
    """The images without the crops that are near one of `others`: hashes of images that are known to be other ones.

    Such a crop says nothing: of drawings on a white ground, a crop of one is as near another. The hash of a whole image
    stays. `check` is called at intervals and may raise to stop.
    """
    known = _as_array(b"".join(others))
    crops = [image.hashes[PHASH_BYTES:] for image in images]
    if not len(known) or not any(crops):
        return list(images)
    near = _nearest(_as_array(b"".join(crops)), known, np.arange(len(known)), check) != _NONE
    ends = np.cumsum([len(each) // PHASH_BYTES for each in crops])[:-1]
    kept = [_as_array(each)[~dropped].tobytes() for each, dropped in zip(crops, np.split(near, ends), strict=True)]
    return [
        FrozenImage(image.path, image.sha256, image.hashes[:PHASH_BYTES] + each)
        for image, each in zip(images, kept, strict=True)
    ]


def write_frozen_images(images: Sequence[FrozenImage], target: Path, *, fingerprint: str) -> str:
    """Write the list, an image a line. `fingerprint`: of the dataset whose test split it is. Returns its sha256."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "rule": {"max_low_bits": MAX_LOW_BITS, "max_bits": MAX_BITS, "crops": CROPS},
    }
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for part in _lines(head, images):
            file.write(part)
            digest.update(part)
    return digest.hexdigest()


def read_frozen_images(path: Path) -> FrozenImages:
    """Raises OSError, and ValueError for what is no such list."""
    content = path.read_bytes()
    try:
        found = json.loads(content)
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']!r}, not {SCHEMA!r}")
        images = [
            FrozenImage(str(each["path"]), str(each["sha256"]), base64.b64decode(each["hashes"], validate=True))
            for each in found["images"]
        ]
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"{path} is no list of frozen images: {type(error).__name__} {error}") from error
    if any(len(image.hashes) % PHASH_BYTES for image in images):
        raise ValueError(f"{path} has perceptual hashes of another length.")
    return FrozenImages(images, hashlib.sha256(content).hexdigest())


def _lines(head: dict[str, Any], images: Sequence[FrozenImage]) -> Iterator[bytes]:
    yield json.dumps(head)[:-1].encode() + b', "images": [\n'
    for number, image in enumerate(images, start=1):
        entry = {"path": image.path, "sha256": image.sha256, "hashes": base64.b64encode(image.hashes).decode()}
        yield json.dumps(entry, ensure_ascii=False).encode() + (b",\n" if number < len(images) else b"\n")
    yield b"]}\n"


def _as_array(hashes: bytes) -> _Phashes:
    return np.frombuffer(hashes, dtype=np.uint64).reshape(-1, PHASH_BYTES // 8)


def _nearest(phashes: _Phashes, hashes: _Phashes, owners: _Ints, check: Callable[[], None]) -> _Ints:
    """For each of `phashes` the bits that differ from the nearest of `hashes`, times the number of images, plus the
    place of its image; _NONE where none is near.

    Two that are near have two equal bytes among the first eight, as in `near_duplicates`: only those are compared,
    unless images are so similar that this is more work than comparing all.
    """
    images = int(owners[-1]) + 1
    found = np.full(len(phashes), _NONE)
    buckets = list(_buckets(phashes, hashes))
    if sum(int((ends - starts).sum()) for _, starts, ends in buckets) > len(phashes) * len(hashes):
        order, whole = np.arange(len(hashes), dtype=np.int32), np.zeros(len(phashes), np.int64)
        buckets = [(order, whole, whole + len(hashes))]
    for order, starts, ends in buckets:
        for rows, places in _pairs(starts, ends):
            check()
            low = np.bitwise_count(phashes[rows, 0] ^ hashes[order[places], 0]) <= MAX_LOW_BITS
            rows, near = rows[low], order[places[low]]
            bits = np.bitwise_count(phashes[rows] ^ hashes[near]).sum(axis=1, dtype=np.int64)
            kept = bits <= MAX_BITS
            np.minimum.at(found, rows[kept], bits[kept] * images + owners[near[kept]])
    return found


def _buckets(phashes: _Phashes, hashes: _Phashes) -> Iterator[tuple[_Places, _Ints, _Ints]]:
    """For each pair of the first bytes: the order of `hashes`, and for each of `phashes` where in it those with the
    same two bytes start and end."""
    mine, theirs = _low_bytes(phashes), _low_bytes(hashes)
    for first, second in combinations(range(LOW_BYTES), 2):
        wanted, keys = (low[:, first] * np.uint16(256) + low[:, second] for low in (mine, theirs))
        ends = np.bincount(keys, minlength=_KEYS).cumsum()
        order = np.argsort(keys, kind="stable").astype(np.int32)  # of 16 bits: by counting
        yield order, (ends - np.bincount(keys, minlength=_KEYS))[wanted], ends[wanted]


def _low_bytes(phashes: _Phashes) -> npt.NDArray[np.uint16]:
    return phashes.view(np.uint8).reshape(-1, PHASH_BYTES)[:, :LOW_BYTES].astype(np.uint16)


def _pairs(starts: _Ints, ends: _Ints) -> Iterator[tuple[_Ints, _Ints]]:
    """Each row with each place from its start to its end, some millions at once."""
    counts = ends - starts
    totals = counts.cumsum()
    at = 0
    while at < len(counts):
        base = int(totals[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(totals, base + _AT_ONCE, side="right")))
        part = counts[at:stop]
        rows = np.repeat(np.arange(at, stop), part)
        within = np.arange(int(part.sum())) - np.repeat(part.cumsum() - part, part)
        yield rows, starts[rows] + within
        at = stop
