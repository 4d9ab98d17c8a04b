"""Versions of models, their exports and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.notebook import version_html
from darkroom.schemas.runs import Leak, Operation, ParentVersion


@dataclass(frozen=True)
class Artifact:
    name: str
    bytes: int
    sha256: str
    media_type: str
    links: Mapping[str, str]


@dataclass(frozen=True)
class MlflowVersion:
    state: str
    detail: str | None = None
    run_id: str | None = None
    link: str | None = None
    model: str | None = None
    version: str | None = None
    version_link: str | None = None


@dataclass(frozen=True)
class ModelVersion:
    """`name` is what every model parameter takes: `raccoons/v3`. `metrics` are by split; `weights` is an artifact."""

    project: str
    name: str
    version: str
    number: int
    origin: str
    evaluated: bool
    trainer: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    weights: str
    artifacts: tuple[Artifact, ...]
    aliases: tuple[str, ...]
    created_at: datetime
    links: Mapping[str, str]
    job_id: str | None = None
    run_id: str | None = None
    fingerprint: str | None = None
    parent: ParentVersion | None = None
    leak: Leak | None = None
    mlflow: MlflowVersion | None = None

    def _repr_html_(self) -> str:
        return version_html(self)


@dataclass(frozen=True)
class EqualPredictions:
    compared: int
    equal: int
    share: float


@dataclass(frozen=True)
class ExportFigure:
    """The metric of the model and of its export; `low` and `high` bound `change` with 95% confidence."""

    name: str
    model: float
    export: float
    change: float
    low: float
    high: float


@dataclass(frozen=True)
class Speed:
    """Milliseconds an image."""

    p50: float
    p95: float
    images_per_second: float


@dataclass(frozen=True)
class SpeedOfBoth:
    model: Speed
    export: Speed


@dataclass(frozen=True)
class Export:
    """A file of a version that runs without the framework. `passed`: whether its certificate did."""

    export_id: str
    project: str
    name: str
    version: str
    format: str
    precision: str
    nms: str
    file_name: str
    bytes: int
    sha256: str
    media_type: str
    passed: bool
    reasons: tuple[str, ...]
    operation_id: str
    created_at: datetime
    links: Mapping[str, str]
    max_drop: float | None = None
    images: int | None = None
    predictions: EqualPredictions | None = None
    figure: ExportFigure | None = None
    milliseconds: SpeedOfBoth | None = None
    speed_up: float | None = None
    claimed_speed_up: str | None = None
    engine: str | None = None


@dataclass(frozen=True)
class ExportBaseline:
    """The model itself, as exports are compared with it."""

    framework: str
    figure: str
    value: float
    milliseconds: Speed
    compared_with: str


@dataclass(frozen=True)
class ExportList:
    """All exports of a version, those that are being made and those that failed."""

    items: tuple[Export, ...]
    project: str
    name: str
    version: str
    waiting: tuple[Operation, ...]
    failed: tuple[Operation, ...]
    links: Mapping[str, str]
    next_cursor: str | None = None
    baseline: ExportBaseline | None = None

    def __iter__(self) -> Iterator[Export]:
        """Those that are there, as any list of the client."""
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Evaluation:
    """A version on a split of a dataset. Lists leave `artifacts` out."""

    evaluation_id: str
    project: str
    version: str
    job_id: str
    dataset: str
    fingerprint: str
    split: str
    metrics: Mapping[str, Any]
    operation_id: str
    created_at: datetime
    links: Mapping[str, str]
    artifacts: tuple[Artifact, ...] = ()
    export_id: str | None = None
    export: str | None = None


@dataclass(frozen=True)
class MatrixColumn:
    job_id: str
    name: str
    title: str
    fingerprint: str
    outside: bool
    links: Mapping[str, str]
    images: int | None = None


@dataclass(frozen=True)
class MatrixCell:
    links: Mapping[str, str]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    source: str | None = None
    evaluation_id: str | None = None
    seen_images: int | None = None
    seen_known: bool | None = None
    unseen: float | None = None
    missing_classes: int | None = None


@dataclass(frozen=True)
class MatrixRow:
    version: str
    aliases: tuple[str, ...]
    created_at: datetime
    cells: tuple[MatrixCell, ...]
    links: Mapping[str, str]
    export_id: str | None = None
    export: str | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class EvaluationMatrix:
    """Versions x datasets: the cells of a row are in the order of `datasets`."""

    project: str
    split: str
    metric: str
    metrics: tuple[str, ...]
    datasets: tuple[MatrixColumn, ...]
    rows: tuple[MatrixRow, ...]
    datasets_left_out: bool
    evaluations_left_out: bool
    links: Mapping[str, str]
    next_cursor: str | None = None


@dataclass(frozen=True)
class ComparisonSide:
    """One of two versions that are compared. `evaluation_id`: None while its evaluation is being made."""

    version: str
    trainer: str
    links: Mapping[str, str]
    dataset: str | None = None
    fingerprint: str | None = None
    classes: int | None = None
    images: int | None = None
    seen: Mapping[str, Any] | None = None
    leak: Leak | None = None
    evaluation_id: str | None = None


@dataclass(frozen=True)
class ComparedFigure:
    metric: str
    first: float | None = None
    second: float | None = None
    change: float | None = None
    first_interval: tuple[float, ...] | None = None
    second_interval: tuple[float, ...] | None = None


@dataclass(frozen=True)
class PairedFigure:
    """`interval`: of the change, with a confidence of 95 %, by resamples of the images for both."""

    metric: str
    first: float
    second: float
    change: float
    interval: tuple[float, ...] | None = None


@dataclass(frozen=True)
class PairedClass:
    name: str
    images: int
    figures: tuple[PairedFigure, ...]
    instances: int | None = None


@dataclass(frozen=True)
class PairedComparison:
    """Both versions image by image. `per_class`: those with the largest change first."""

    images: int
    classes: int
    resamples: int
    figures: tuple[PairedFigure, ...]
    per_class: tuple[PairedClass, ...]
    won: int
    lost: int
    tied: int
    rule: str


@dataclass(frozen=True)
class AnswerBox:
    """In pixels of the upright image. `outcome`: `found`, `false`, or `missed`, a true box without a score."""

    class_: str
    outcome: str
    x: float
    y: float
    width: float
    height: float
    score: float | None = None


@dataclass(frozen=True)
class VersionAnswer:
    """Of a detector from `f1` to `boxes`, of a classifier the others."""

    f1: float | None = None
    found: int | None = None
    missed: int | None = None
    false: int | None = None
    boxes: tuple[AnswerBox, ...] | None = None
    right: bool | None = None
    predicted: str | None = None
    score: float | None = None
    label_score: float | None = None


@dataclass(frozen=True)
class ComparedImage:
    """An image that one of two versions answers better. `outcome`: `won` by the second, or `lost`."""

    path: str
    outcome: str
    first: VersionAnswer
    second: VersionAnswer
    label: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same images; without figures while `operations` make an evaluation."""

    project: str
    job_id: str
    dataset: str
    split: str
    first: ComparisonSide
    second: ComparisonSide
    figures: tuple[ComparedFigure, ...]
    params: Mapping[str, Mapping[str, Any]]
    operations: tuple[Operation, ...]
    links: Mapping[str, str]
    generation: int | None = None
    libraries: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    paired: PairedComparison | None = None
    paired_note: str = ""
