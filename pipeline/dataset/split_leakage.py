"""Leakage of a given split: images of one part that are identical to, or near-duplicates of, images of another."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from core.domain.findings import Finding
from pipeline.dataset.model import SPLITS, DatasetImage
from pipeline.dataset.near_duplicates import differing_bits
from pipeline.decode.phash import PHASH_BYTES


def leaks(images: list[DatasetImage], given: Mapping[str, str], groups: Mapping[str, str]) -> list[Finding]:
    """Warnings. `given`: image path -> split; `groups`: sha256 of an image -> name of its group of near-duplicates."""
    assigned = [image for image in images if image.path in given]
    return [*_identical(assigned, given), *_near_duplicates(assigned, given, groups)]


def _identical(images: list[DatasetImage], given: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each content that is in several parts."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for image in images:
        names[image.sha256].setdefault(given[image.path], image.name)
    for by_split in names.values():
        if len(by_split) > 1:
            parts = " and ".join(f"{split} ({name})" for split, name in sorted(by_split.items()))
            yield Finding.of("split-leak", min(by_split.values()), f"The same image is in {parts}.")


def _near_duplicates(
    images: list[DatasetImage], given: Mapping[str, str], groups: Mapping[str, str]
) -> Iterator[Finding]:
    """One finding for each held-out image, with the nearest image of train, or of val where train has none."""
    members: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in images:
        members[groups[image.sha256]].append(image)
    for group in members.values():
        parts = {split: [image for image in group if given[image.path] == split] for split in SPLITS}
        for held_out, learnt in (("val", parts["train"]), ("test", parts["train"] or parts["val"])):
            for image in parts[held_out]:
                yield from _nearest(image, learnt, held_out, given)


def _nearest(image: DatasetImage, learnt: list[DatasetImage], part: str, given: Mapping[str, str]) -> Iterator[Finding]:
    if image.phash is None or not learnt or any(other.sha256 == image.sha256 for other in learnt):
        return  # nothing to compare with, or already reported as identical
    bits = differing_bits(image.phash, [other.phash or b"\0" * PHASH_BYTES for other in learnt])
    fewest, nearest = min(zip(bits, learnt, strict=True), key=lambda entry: (entry[0], entry[1].path))
    detail = (
        f"This image of {part} looks almost the same as {nearest.name} in {given[nearest.path]}: "
        f"{fewest} of the {PHASH_BYTES * 8} bits of their perceptual hashes differ."
    )
    yield Finding.of("split-leak-near", image.name, detail)
