"""Trainings, operations and their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.errors import Problem
from darkroom.notebook import run_html


@dataclass(frozen=True)
class Event:
    """What happened to a dataset, run or operation: `seq` counts from 1 without gaps."""

    seq: int
    type: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True)
class ParentVersion:
    name: str
    version_id: str
    links: Mapping[str, str]


@dataclass(frozen=True)
class MlflowRun:
    state: str
    detail: str | None = None
    run_id: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class LeakedTestImage:
    """An image of train or val, and the frozen test image that it matches; without `bits` it is the same content."""

    dataset: str
    path: str
    split: str
    test_image: str
    bits: int | None = None


@dataclass(frozen=True)
class Leak:
    """The images of the frozen test set that a training learnt from, as `allow_leak` let it: `train` were trained on,
    `val` chose its epoch and its thresholds, `images` is both."""

    generation: int
    images: int
    train: int
    val: int
    examples: tuple[LeakedTestImage, ...]


@dataclass(frozen=True)
class Run:
    """A training. `state` is `queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.

    `version` is the number of the version that it published. `epochs` are its epochs where `runs.describe` read them.
    """

    run_id: str
    job_id: str
    project: str
    seq: int
    trainer: str
    params: Mapping[str, Any]
    fingerprint: str
    created_at: datetime
    state: str
    attempt: int
    stop_requested: bool
    links: Mapping[str, str]
    parent: ParentVersion | None = None
    leak: Leak | None = None
    mlflow: MlflowRun | None = None
    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    notes: Mapping[str, Any] | None = None
    problem: Problem | None = None
    version: int | None = None
    checkpoint_epoch: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    epochs: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False, metadata={"local": True})

    def _repr_html_(self) -> str:
        return run_html(self)


@dataclass(frozen=True)
class Trainer:
    """`params` is the JSON schema of its parameters, with ranges and defaults."""

    name: str
    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """Something else in the background: an export, an evaluation, an import. States as those of a run."""

    operation_id: str
    kind: str
    seq: int
    params: Mapping[str, Any]
    created_at: datetime
    state: str
    attempt: int
    links: Mapping[str, str]
    project: str | None = None
    job_id: str | None = None
    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    problem: Problem | None = None
    result: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
