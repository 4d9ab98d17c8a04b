"""What the service says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
class ProblemPage:
    """The meaning and the remedy of a problem, as Markdown."""

    slug: str
    title: str
    status: int
    text: str
