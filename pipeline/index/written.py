"""What an extension found out of the images in the ZIP that it wrote, for the preparation of that ZIP: a JSON file.

`digests`: the sha256 of each image, by its name. `facts`: by the sha256, of new images that are kept as they are: the
facts that their decoding found; those of the others are in the image index of the dataset that was extended.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.dataset.model import DatasetImage
from pipeline.decode.image_facts import ImageFacts, Traits, facts_from


class WrittenImages(NamedTuple):
    digests: dict[str, str]
    facts: dict[str, ImageFacts]


def write_written(images: Iterable[DatasetImage], target: Path) -> None:
    """Under their paths, which are their names in the ZIP. Raises OSError."""
    digests: dict[str, str] = {}
    facts: dict[str, list[Any]] = {}
    for image in images:
        digests[image.path] = image.sha256
        if image.traits is not None:
            phash = image.phash and image.phash.hex()
            facts[image.sha256] = [
                *(image.width, image.height, image.format, phash, image.end, image.brightness, image.blur),
                *image.traits,
            ]
    target.write_text(json.dumps({"digests": digests, "facts": facts}), encoding="utf-8")


def read_written(file: Path) -> WrittenImages:
    content = json.loads(file.read_bytes())
    facts = {sha256: _facts(*values) for sha256, values in content["facts"].items()}
    return WrittenImages(content["digests"], facts)


def _facts(
    width: int, height: int, name: str, phash: str | None, end: int, brightness: float, blur: float, *traits: Any
) -> ImageFacts:
    return facts_from(
        Traits(*traits),
        upright=(width, height),
        format=name,
        phash=bytes.fromhex(phash) if phash else None,
        end=end,
        brightness=brightness,
        blur=blur,
    )
