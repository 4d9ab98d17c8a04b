"""Exports of versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from darkroom.schemas.runs import Operation


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
