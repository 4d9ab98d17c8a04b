"""Predictions of many images, their drawings and receipts."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli.encode import encode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.images import Image

if TYPE_CHECKING:
    from darkroom import Client
    from darkroom.schemas import Prediction

SUFFIXES = {"--draw": ".jpg", "--receipt": ".receipt.json"}
AT_ONCE = 8  # images of a request: progress moves, and few bytes are in memory


class Predictor:
    """`options` as in POST /predict: confidence, iou, top, tile, overlap."""

    def __init__(self, client: "Client", model: str, options: Mapping[str, Any]) -> None:
        self._client, self._model, self._options = client, model, options

    def predict(self, images: Sequence[Image], *, receipt: bool) -> "Iterator[Prediction]":
        """One each, in their order. A receipt is that of a request: with one, each image is a request of its own."""
        size = 1 if receipt else AT_ONCE
        for start in range(0, len(images), size):
            given = [image.path or image.name for image in images[start : start + size]]
            for each in self._client.predict(self._model, given, receipt=receipt, **self._options):
                yield replace(each, image=b"")

    def answers(self, images: Sequence[Image], predictions: "Sequence[Prediction]") -> list[dict[str, Any]]:
        """As in the answer of POST /predict, each with the name of its image."""
        return [{"image": image.name, **encode(each.answer)} for image, each in zip(images, predictions, strict=True)]

    def drawn(self, image: Image) -> bytes:
        """JPEG. The image is a local file."""
        return self._client.annotate(self._model, image.path or image.name, **self._options)

    def draw(self, images: Sequence[Image], predictions: "Sequence[Prediction]", target: Path) -> Iterator[Path]:
        """Writes a drawing of each local image that was predicted, and yields its path."""
        paths = places(images, target, SUFFIXES["--draw"])
        for image, prediction, path in zip(images, predictions, paths, strict=True):
            if image.path is None or prediction.error is not None:
                continue
            path.write_bytes(self.drawn(image))
            yield path

    def write_receipts(
        self, images: Sequence[Image], predictions: "Sequence[Prediction]", target: Path
    ) -> Iterator[Path]:
        for prediction, path in zip(predictions, places(images, target, SUFFIXES["--receipt"]), strict=True):
            path.write_text(json.dumps(encode(prediction.receipt), indent=2) + "\n", encoding="utf-8")
            yield path


def places(images: Sequence[Image], target: Path, suffix: str) -> list[Path]:
    """The file itself, or for each image one in the folder, which is made. Images of the same name get a number.

    Raises WrongUsage where an image would be overwritten.
    """
    if len(images) == 1 and not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        found = [target]
    else:
        target.mkdir(parents=True, exist_ok=True)
        found = [target / f"{stem}{suffix}" for stem in _distinct([image.stem for image in images])]
    originals = {image.path.resolve() for image in images if image.path}
    for path in found:
        if path.resolve() in originals:
            raise WrongUsage(f"{path} is one of the images, and would be overwritten.", "Name another file or folder.")
    return found


def _distinct(stems: Sequence[str]) -> list[str]:
    taken, count = set(stems), Counter[str]()
    found = []
    for stem in stems:
        count[stem] += 1
        name, number = stem, count[stem]
        while number > 1 and (name := f"{stem}-{number}") in taken:
            number += 1
        taken.add(name)
        found.append(name)
    return found
