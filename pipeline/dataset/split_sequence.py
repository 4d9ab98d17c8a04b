"""A split by the order of names, for images of one fixed camera, which all look almost the same."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.dataset.class_order import natural_order
from pipeline.dataset.model import HELD_OUT_SPLITS, DatasetImage
from pipeline.dataset.split_leakage import leaks


class Fractions(Protocol):
    @property
    def val_fraction(self) -> float: ...
    @property
    def test_fraction(self) -> float: ...


def by_sequence(images: list[DatasetImage], options: Fractions) -> dict[str, str]:
    """Image path -> split: in natural order of the names the first images are train, then val, the last test.

    In classification the images of each class are divided in this way.
    """
    sequences: dict[int | None, list[DatasetImage]] = defaultdict(list)
    for image in images:
        sequences[image.label].append(image)
    splits: dict[str, str] = {}
    for sequence in sequences.values():
        ordered = sorted(sequence, key=lambda image: natural_order(image.name))
        val, test = _sizes(len(ordered), options)
        train = len(ordered) - val - test
        for at, image in enumerate(ordered):
            splits[image.path] = "train" if at < train else "val" if at < train + val else "test"
    return splits


def _sizes(count: int, options: Fractions) -> tuple[int, int]:
    """Images in val and in test; at least one in val, and in test where it has a fraction, if three or more."""
    least = 1 if count > 2 else 0
    test = max(least, round(count * options.test_fraction)) if options.test_fraction else 0
    return min(max(1, round(count * options.val_fraction)), count - test - 1), test


def sequence_leak(images: list[DatasetImage], splits: Mapping[str, str], groups: Mapping[str, str]) -> list[Finding]:
    """One warning where held-out images look almost the same as some that are trained on."""
    near = {finding.path for finding in leaks(images, splits, groups)}
    if not near:
        return []
    held_out = sum(split in HELD_OUT_SPLITS for split in splits.values())
    detail = (
        f"The split follows the order of names. {counted(len(near), 'image')} of the {held_out} in val and test are "
        "the same as, or look almost the same as, images that are trained on: what is measured is too good."
    )
    return [Finding.of("split-sequence-leak", "", detail)]
