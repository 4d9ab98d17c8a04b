"""Predictions of many images, their drawings and receipts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli.encode import encode
from darkroom.cli.images import Image

if TYPE_CHECKING:
    from darkroom import Client
    from darkroom.schemas import Prediction

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
            yield from self._client.predict(self._model, given, receipt=receipt, **self._options)

    def answers(self, images: Sequence[Image], predictions: "Sequence[Prediction]") -> list[dict[str, Any]]:
        """As in the answer of POST /predict, each with the name of its image."""
        return [{"image": image.name, **encode(each.answer)} for image, each in zip(images, predictions, strict=True)]

    def drawn(self, image: Image) -> bytes:
        """JPEG. The image is a local file."""
        return self._client.annotate(self._model, image.path or image.name, **self._options)

    def draw(self, images: Sequence[Image], predictions: "Sequence[Prediction]", target: Path) -> Iterator[Path]:
        """Writes a drawing of each local image that was predicted, and yields its path."""
        for image, prediction in zip(images, predictions, strict=True):
            if image.path is None or prediction.error is not None:
                continue
            path = _place(target, f"{image.stem}.jpg", several=len(images) > 1)
            path.write_bytes(self.drawn(image))
            yield path

    def write_receipts(
        self, images: Sequence[Image], predictions: "Sequence[Prediction]", target: Path
    ) -> Iterator[Path]:
        for image, prediction in zip(images, predictions, strict=True):
            path = _place(target, f"{image.stem}.receipt.json", several=len(images) > 1)
            path.write_text(json.dumps(encode(prediction.receipt), indent=2) + "\n", encoding="utf-8")
            yield path


def _place(target: Path, name: str, *, several: bool) -> Path:
    """The file itself, or one in the folder, which is made."""
    if not several and not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
    target.mkdir(parents=True, exist_ok=True)
    return target / name
