"""Images of train and val that match a frozen test image, by the image index of a dataset: nothing is decoded."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.index.read import read_contents

if TYPE_CHECKING:
    from pipeline.dataset.frozen_images import FrozenImages


EXAMPLES = 20


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


def leak_of(found: list[tuple[str, LeakedImage]], generation: int) -> dict[str, Any] | None:
    """What runs and versions keep: `generation` of the test set, counts, examples. `found`: by the names of datasets.

    None where nothing was found.
    """
    if not found:
        return None
    counts = Counter(leak.split for _, leak in found)
    return {
        "generation": generation,
        "images": len(found),
        **{split: counts[split] for split in ("train", "val")},
        "examples": [leak._asdict() | {"dataset": name} for name, leak in found[:EXAMPLES]],
    }


def refusal_of(leak: dict[str, Any]) -> str:
    """Why a training does not start."""
    first = leak["examples"][0]
    return (
        f"{leak['images']} images of train or val match the frozen test set (generation {leak['generation']}), such as "
        f"{first['path']} of {first['dataset']}, which is {first['test_image']} there. Train on a dataset that was "
        "prepared since, or set allow_leak: the version then says so for ever."
    )


def caveat_of(leak: dict[str, Any]) -> str:
    """What a model card says of a version that has learnt from frozen test images: how many it was trained on, and how
    many, of val, chose its epoch and its thresholds."""
    train, val = leak["train"], leak["val"]
    of_set = f"of the frozen test set (generation {leak['generation']})"
    chose = "chose its epoch and its thresholds"
    if not train:
        what = f"{_counted(val)} {of_set} in val {chose}"
    else:
        what = f"It was trained on {_counted(train)} {of_set}" + (f", and {val} more, in val, {chose}" if val else "")
    return f"{what}: figures on that set flatter it."


def _counted(images: int) -> str:
    return f"{images} image{'' if images == 1 else 's'}"
