"""Evaluations of versions, and the matrix of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.schemas.versions import Artifact


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
