"""What a model answers for an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.errors import Problem
from darkroom.notebook import prediction_html
from darkroom.schemas.versions import Artifact


@dataclass(frozen=True)
class Box:
    """Corners in pixels of the upright image."""

    label: str
    class_index: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Label:
    """A class and its probability."""

    label: str
    class_index: int
    score: float


@dataclass(frozen=True)
class AnsweringModel:
    """What answered: `name` is the version, `requested` the name in the request, `sha256` that of the export's file."""

    name: str
    requested: str
    version_id: str
    export_id: str
    sha256: str
    format: str
    engine: str
    precision: str


@dataclass(frozen=True)
class ImageAnswer:
    """One image: its boxes or classes (the best first), or in `error` why it could not be predicted.

    `tiles`: in how many it was predicted, besides as a whole. `milliseconds`: of each stage; `loading` where the
    request waited for the model.
    """

    error: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    boxes: tuple[Box, ...] = ()
    labels: tuple[Label, ...] = ()
    tiles: int = 0
    milliseconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The JSON of /predict and /predict/image."""

    model: AnsweringModel
    images: tuple[ImageAnswer, ...]
    receipt: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one image, and the image itself: bytes, or the URL that the service read it from.

    `receipt` is that of the whole request, where it was asked for.
    """

    model: AnsweringModel
    answer: ImageAnswer
    receipt: Mapping[str, Any] | None = None
    image: bytes = field(default=b"", repr=False, compare=False)
    image_url: str = field(default="", compare=False)

    @property
    def error(self) -> str | None:
        return self.answer.error

    @property
    def boxes(self) -> tuple[Box, ...]:
        return self.answer.boxes

    @property
    def labels(self) -> tuple[Label, ...]:
        return self.answer.labels

    @property
    def top(self) -> Box | Label | None:
        """The box or class of the highest score."""
        found: list[Box | Label] = [*self.boxes, *self.labels]
        return max(found, key=lambda each: each.score, default=None)

    def _repr_html_(self) -> str:
        return prediction_html(self)


@dataclass(frozen=True)
class Batch:
    """Predictions of many images: `operation_id` names it. Lists leave `artifacts` out.

    `summary`, once it has succeeded: `images`, `failed`, `boxes`, `classes`, the mean `milliseconds`, `failures`.
    """

    operation_id: str
    project: str
    model: str
    requested: str
    export_id: str
    sha256: str
    source: Mapping[str, Any]
    options: Mapping[str, Any]
    state: str
    created_at: datetime
    links: Mapping[str, str]
    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    problem: Problem | None = None
    summary: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    artifacts: tuple[Artifact, ...] = ()
