"""Versions of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from darkroom.notebook import version_html
from darkroom.schemas.runs import Leak, ParentVersion


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
