"""What a model predicts for one image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredictedBox:
    """One detection. Corners in pixels of the image as it is shown (EXIF rotation applied), origin top left."""

    label: str
    class_index: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class PredictedLabel:
    """One class that an image may be of; the scores of all classes sum to 1."""

    label: str
    class_index: int
    score: float
