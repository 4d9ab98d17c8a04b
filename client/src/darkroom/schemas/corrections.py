"""Corrections of single images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CorrectionBox:
    """Edges in pixels of the upright image."""

    class_: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Correction:
    """What is to be changed of one image: one of `boxes`, `label`, `remove` and `accept`. `state`: draft or applied."""

    correction_id: str
    job_id: str
    image: str
    image_sha256: str
    note: str
    author: str
    state: str
    created_at: datetime
    updated_at: datetime
    links: Mapping[str, str]
    boxes: tuple[CorrectionBox, ...] | None = None
    label: str | None = None
    remove: bool | None = None
    accept: bool | None = None
    applied_to: str | None = None


@dataclass(frozen=True)
class SavedCorrections:
    """Numbers of drafts: new or changed, the same as before, and all of the dataset."""

    job_id: str
    saved: int
    unchanged: int
    drafts: int
    links: Mapping[str, str]


@dataclass(frozen=True)
class DiscardedCorrections:
    """The number of drafts that were discarded."""

    discarded: int
