"""Images of train and val that match a frozen test image, by the image index of a dataset: nothing is decoded."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.index.read import read_contents

if TYPE_CHECKING:
    from pipeline.dataset.frozen_images import FrozenImages


class LeakedImage(NamedTuple):
    """`test_image`: the frozen image that it matches. `bits`: how many of 256 differ; None for the same content."""

    path: str
    split: str
    test_image: str
    bits: int | None


def find_leaks(index: Path, frozen: "FrozenImages") -> list[LeakedImage]:
    """By path. 50,000 images and 1,000 test images take a second."""
    learnt = [image for image in read_contents(index) if image.split != "test"]
    matches = frozen.matches((image.sha256, image.phash) for image in learnt)
    return [
        LeakedImage(image.path, image.split, match.path, match.bits)
        for image in learnt
        if (match := matches.get(image.sha256)) is not None
    ]


def count_by_split(leaks: list[LeakedImage]) -> dict[str, int]:
    counts = Counter(leak.split for leak in leaks)
    return {split: counts[split] for split in ("train", "val")}
