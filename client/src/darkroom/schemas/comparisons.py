"""Comparisons of two versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from darkroom.schemas.runs import Leak, Operation


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
