"""Predictions and metrics as text, JSON and images for the command line. One module for each kind of dataset."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from PIL import Image

KINDS = {"detection": "pipeline.cli.output.detection", "classification": "pipeline.cli.output.classification"}


class KindOutput(Protocol):
    """The module of a kind. `predictions`: what the predictors of that kind return for one image."""

    def draw(self, image: Image.Image, predictions: Sequence[Any]) -> Image.Image:
        """A copy of the image with its predictions."""

    def lines(self, predictions: Sequence[Any]) -> list[str]:
        """One line of text per prediction."""

    def as_json(self, predictions: Sequence[Any]) -> dict[str, Any]:
        """Members of the JSON file besides `image`, `width` and `height`."""

    def table(self, metrics: Mapping[str, Any]) -> list[str]:
        """`metrics` as in metrics.json: by split, null for one without images."""


def output_of(kind: str) -> KindOutput:
    """The module for a kind of dataset."""
    return cast(KindOutput, import_module(KINDS[kind]))
