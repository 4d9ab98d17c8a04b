"""What a predictor found, and how good it is, for people. One module for each kind of dataset."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from PIL import Image

KINDS = {"detection": "pipeline.cli.output.detection", "classification": "pipeline.cli.output.classification"}


class Shown(Protocol):
    """What a kind's module provides; `found` is what its predictors return."""

    def draw(self, image: Image.Image, found: Sequence[Any]) -> Image.Image: ...

    def lines(self, found: Sequence[Any]) -> list[str]: ...

    def as_json(self, found: Sequence[Any]) -> dict[str, Any]:
        """Members beside `image`, `width` and `height`."""

    def table(self, metrics: Mapping[str, Any]) -> list[str]:
        """`metrics` as in metrics.json: by split, null for one without images."""


def shown_of(kind: str) -> Shown:
    return cast(Shown, import_module(KINDS[kind]))
