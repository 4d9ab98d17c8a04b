"""What a given split leaks: images of one part that are, or look like, images of another."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from core.domain.findings import Finding
from pipeline.dataset.model import SPLITS, DatasetImage
from pipeline.dataset.near_duplicates import differing_bits
from pipeline.decode.phash import PHASH_BYTES


def leaks(images: list[DatasetImage], given: Mapping[str, str], groups: Mapping[str, str]) -> list[Finding]:
    """Warnings. `given`: image path -> split; `groups`: sha256 -> name of the group that looks alike."""
    placed = [image for image in images if image.path in given]
    return [*_identical(placed, given), *_alike(placed, given, groups)]


def _identical(images: list[DatasetImage], given: Mapping[str, str]) -> Iterator[Finding]:
    """One for each content that is in several parts."""
    homes: dict[str, dict[str, str]] = defaultdict(dict)
    for image in images:
        homes[image.sha256].setdefault(given[image.path], image.name)
    for places in homes.values():
        if len(places) > 1:
            shown = " and ".join(f"{split} ({name})" for split, name in sorted(places.items()))
            detail = f"The same image is in {shown}."
            yield Finding.of("split-leak", min(places.values()), detail)


def _alike(images: list[DatasetImage], given: Mapping[str, str], groups: Mapping[str, str]) -> Iterator[Finding]:
    """One for each held-out image, with the one that is most like it in a part that is trained on, or tuned on."""
    members: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in images:
        members[groups[image.sha256]].append(image)
    for group in members.values():
        parts = {split: [image for image in group if given[image.path] == split] for split in SPLITS}
        for held_out, learnt in (("val", parts["train"]), ("test", parts["train"] or parts["val"])):
            for image in parts[held_out]:
                yield from _most_alike(image, learnt, held_out, given)


def _most_alike(
    image: DatasetImage, learnt: list[DatasetImage], part: str, given: Mapping[str, str]
) -> Iterator[Finding]:
    if image.phash is None or not learnt or any(other.sha256 == image.sha256 for other in learnt):
        return  # nothing, or told as identical
    bits = differing_bits(image.phash, [other.phash or b"\0" * PHASH_BYTES for other in learnt])
    fewest, twin = min(zip(bits, learnt, strict=True), key=lambda entry: (entry[0], entry[1].path))
    detail = (
        f"In {part}, and looks like {twin.name} in {given[twin.path]}: "
        f"{fewest} of the {PHASH_BYTES * 8} bits of their perceptual hashes differ."
    )
    yield Finding.of("split-leak-near", image.name, detail)
