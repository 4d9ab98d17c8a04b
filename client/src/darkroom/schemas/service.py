"""What the service says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Service:
    name: str
    version: str
    description: str
    links: Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """A dependency: `state` is `ok`, `degraded` or `failed`."""

    state: str
    seconds: float
    detail: str


@dataclass(frozen=True)
class Ready:
    state: str
    checks: Mapping[str, Check]
    checked_at: datetime


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class ComputeEngine:
    """A library that trains or runs models; `devices` and `precisions` are what it can use."""

    name: str
    version: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class Devices:
    """What a worker computes on; `engines` of those that train or work on operations."""

    processor: str
    cores: int
    gpus: tuple[Gpu, ...]
    engines: tuple[ComputeEngine, ...]


@dataclass(frozen=True)
class Worker:
    """One that was alive in the last minute; `devices` are unknown in the first seconds."""

    name: str
    role: str
    seen_at: datetime
    devices: Devices | None = None


@dataclass(frozen=True)
class ProblemPage:
    """The meaning and the remedy of a problem, as Markdown."""

    slug: str
    title: str
    status: int
    text: str


@dataclass(frozen=True)
class ModelInMemory:
    """A model that serving has loaded. `bytes` are estimated; `choice` says how its engine was chosen."""

    name: str
    names: tuple[str, ...]
    version_id: str
    export_id: str
    sha256: str
    engine: str
    precision: str
    bytes: int
    requests: int
    failed: int
    load_seconds: float
    choice: Mapping[str, Any]
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True)
class NameInUse:
    """`version` answers for it; `problem`, where that is not what the name means now, says why."""

    name: str
    version: str
    problem: str


@dataclass(frozen=True)
class ModelsInMemory:
    """What serving has loaded; of several, that of one."""

    items: tuple[ModelInMemory, ...]
    names: tuple[NameInUse, ...]
    bytes: int
    max_bytes: int
