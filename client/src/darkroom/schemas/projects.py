"""Projects, their aliases, and what came from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.schemas.runs import Operation


@dataclass(frozen=True)
class ProductionVersion:
    """The version that the alias `production` names."""

    name: str
    version: str
    trainer: str
    metrics: Mapping[str, float]
    links: Mapping[str, str]
    split: str | None = None


@dataclass(frozen=True)
class MlflowProject:
    state: str
    detail: str | None = None
    name: str | None = None
    experiment_id: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Project:
    """A line of work: its datasets, runs and versions. `project` is its name in paths and in the names of models."""

    project: str
    project_id: str
    title: str
    description: str
    implicit: bool
    settings: Mapping[str, Any]
    datasets: int
    runs: int
    versions: int
    created_at: datetime
    last_activity_at: datetime
    links: Mapping[str, str]
    kind: str | None = None
    production: ProductionVersion | None = None
    mlflow: MlflowProject | None = None


@dataclass(frozen=True)
class RetentionSettings:
    """Days that a project keeps what can be deleted; None: for ever. The newest `keep_versions` versions stay."""

    source_days: float | None = None
    checkpoint_days: float | None = None
    version_days: float | None = None
    dataset_export_days: float | None = None
    export_days: float | None = None
    bundle_days: float | None = None
    evaluation_days: float | None = None
    batch_prediction_days: float | None = None
    keep_versions: int = 10


@dataclass(frozen=True)
class StoredKind:
    """Objects of one kind. `shared_bytes`: those that other projects use too. `unmeasured`: without known bytes."""

    kind: str
    count: int
    bytes: int
    shared_bytes: int
    unmeasured: int


@dataclass(frozen=True)
class FreeableAmount:
    """What of one kind could be deleted now: why, and what is not possible afterwards."""

    kind: str
    count: int
    bytes: int
    reason: str
    lost: str


@dataclass(frozen=True)
class ProjectStorage:
    """What a project stores. `retention` is what is in effect."""

    project: str
    bytes: int
    stored: tuple[StoredKind, ...]
    freeable_bytes: int
    freeable: tuple[FreeableAmount, ...]
    retention: RetentionSettings
    links: Mapping[str, str]


@dataclass(frozen=True)
class PurgeItem:
    """`name`: of the version or the dataset. `bytes` None: not known."""

    kind: str
    id: str
    at: datetime
    name: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Purge:
    """What a purge deletes, one page of it item by item. `operation`: the one that does it; None for a dry run."""

    project: str
    dry_run: bool
    before: datetime
    keep_versions: int
    count: int
    bytes: int
    freeable: tuple[FreeableAmount, ...]
    items: tuple[PurgeItem, ...]
    next_cursor: str | None = None
    operation: Operation | None = None


@dataclass(frozen=True)
class DeletedProject:
    project: str
    project_id: str
    deleted_at: datetime


@dataclass(frozen=True)
class AliasMove:
    """One entry of an alias's history. `action` is `set`, `rollback` or `remove`."""

    position: int
    action: str
    version: str
    at: datetime


@dataclass(frozen=True)
class Alias:
    """A name for a version. `warning`: why predictions are not answered by the version. Lists leave `job_id`, `history`
    and `warning` out."""

    project: str
    alias: str
    version: str
    name: str
    updated_at: datetime
    links: Mapping[str, str]
    job_id: str | None = None
    history: tuple[AliasMove, ...] = ()
    warning: str | None = None


@dataclass(frozen=True)
class FrozenTestSet:
    """The test split of a dataset, frozen for its project. `removed_at`: when the freeze ended."""

    project: str
    generation: int
    job_id: str
    dataset: str
    fingerprint: str
    images: int
    sha256: str
    created_at: datetime
    links: Mapping[str, str]
    removed_at: datetime | None = None


@dataclass(frozen=True)
class Figure:
    metric: str
    split: str
    value: float


@dataclass(frozen=True)
class LineageNode:
    """`kind` is `dataset`, `run`, `version`, `alias` or `import`."""

    id: str
    kind: str
    name: str
    title: str | None = None
    state: str | None = None
    deleted: bool = False
    outside: bool = False
    origin: str | None = None
    images: int | None = None
    classes: int | None = None
    trainer: str | None = None
    epochs: int | None = None
    parent: str | None = None
    figure: Figure | None = None
    folded_runs: Mapping[str, int] = field(default_factory=dict)
    created_at: datetime | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LineageEdge:
    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Lineage:
    project: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    truncated: bool
    links: Mapping[str, str]
    next_from: str | None = None
