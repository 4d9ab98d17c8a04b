"""Datasets, each the result of a job, with findings and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from darkroom.errors import Problem
from darkroom.notebook import dataset_html


@dataclass(frozen=True)
class ImportedFrom:
    """The repository of a hub that a dataset comes from."""

    repository: str
    splits: tuple[str, ...]
    revision: str | None = None
    commit: str | None = None
    subset: str | None = None
    images: int | None = None
    left_out: int | None = None


@dataclass(frozen=True)
class ImportedFromPlace:
    """Where a dataset was imported from. `kind` is `url`, `s3`, `folder`, `dataset` or `sample`."""

    kind: str
    location: str
    sha256: str | None = None
    etag: str | None = None
    files: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class ExtensionInput:
    """What a dataset was extended by."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetExtension:
    """How a dataset was made of the one that it extends, which `parent_job_id` names."""

    additions: ExtensionInput | None = None
    changes: ExtensionInput | None = None


@dataclass(frozen=True)
class DatasetSource:
    """The file that was uploaded, or made by an import."""

    name: str
    bytes: int
    sha256: str
    huggingface: ImportedFrom | None = None
    imported_from: ImportedFromPlace | None = None
    extension: DatasetExtension | None = None


@dataclass(frozen=True)
class Exclusions:
    """The frozen test set that the images of a dataset were compared with; `images` of them were left out."""

    generation: int
    sha256: str
    images: int


@dataclass(frozen=True)
class FindingCount:
    severity: str
    count: int


@dataclass(frozen=True)
class RunInDataset:
    run_id: str
    state: str
    links: Mapping[str, str]
    version: int | None = None


@dataclass(frozen=True)
class VersionInDataset:
    version: str
    number: int
    run_id: str
    metrics: Mapping[str, Any]
    created_at: datetime
    links: Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """A dataset and the job that prepares it: `job_id` names both, `dataset` is its name in its project.

    `state` is `received`, `preparing`, `ready`, `rejected`, `failed` or `deleted`. Lists leave `shared_with`, `runs`
    and `versions` out. `metadata` is the dataset_metadata.json where `datasets.describe` read it: classes and splits.
    """

    job_id: str
    seq: int
    project: str
    dataset: str
    revision: int
    created_at: datetime
    source: DatasetSource
    options: Mapping[str, Any]
    name: str
    state: str
    attempt: int
    last_version: int
    links: Mapping[str, str]
    shared_with: tuple[str, ...] = ()
    runs: tuple[RunInDataset, ...] = ()
    versions: tuple[VersionInDataset, ...] = ()
    parent_job_id: str | None = None
    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    problem: Problem | None = None
    kind: str | None = None
    format: str | None = None
    classes: tuple[str, ...] | None = None
    class_count: int | None = None
    images: int | None = None
    findings: Mapping[str, FindingCount] | None = None
    exclusions: Exclusions | None = None
    fingerprint: str | None = None
    content_fingerprint: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deleted_at: datetime | None = None
    metadata: Mapping[str, Any] | None = field(default=None, repr=False, compare=False, metadata={"local": True})

    def _repr_html_(self) -> str:
        return dataset_html(self)


@dataclass(frozen=True)
class Finding:
    """What is wrong or noteworthy in an archive, where, and what to do. `severity`: `error`, `warning` or `note`."""

    code: str
    severity: str
    path: str
    detail: str
    remedy: str
    line: int | None = None
    image: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True)
class FormatGuess:
    why: str
    name: str | None = None


@dataclass(frozen=True)
class Preflight:
    """What the service would say of an archive, from its directory alone."""

    accepted: bool
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    bytes: int
    entries: int
    images: int
    data_files: int
    data_bytes: int
    left_out: int
    format: FormatGuess


@dataclass(frozen=True)
class DatasetBox:
    """A labelled box in pixels of the upright image: its left upper corner and its size."""

    class_: str
    x: float
    y: float
    width: float
    height: float
    difficult: bool = False


@dataclass(frozen=True)
class DatasetImage:
    path: str
    name: str
    sha256: str
    split: str
    width: int
    height: int
    bytes: int
    brightness: float
    blur: float
    box_count: int
    boxes: tuple[DatasetBox, ...]
    findings: tuple[str, ...]
    links: Mapping[str, str]
    row: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class DatasetLoss:
    """What a format could not keep: `count` boxes, images or classes."""

    code: str
    count: int
    detail: str


@dataclass(frozen=True)
class DatasetExport:
    """A dataset in a format that others read."""

    export_id: str
    job_id: str
    operation_id: str
    fingerprint: str
    format: str
    arrange: str
    losses: tuple[DatasetLoss, ...]
    file_name: str
    bytes: int
    sha256: str
    created_at: datetime
    links: Mapping[str, str]


@dataclass(frozen=True)
class Format:
    name: str
    title: str
    kind: str
    trainable: bool
    description: str
    tree: str
