"""Predictions of a model for one image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredictedBox:
    """A detected box, or a ground-truth box to draw beside it. In pixels of the upright image, origin top left."""

    label: str
    class_index: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class PredictedLabel:
    """One class with its score; the scores of all classes of an image sum to 1. `threshold`: that of the class."""

    label: str
    class_index: int
    score: float
    threshold: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Of the most probable class: the answer is it either way."""
        return self.score > self.threshold
