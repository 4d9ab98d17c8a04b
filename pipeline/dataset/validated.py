"""A dataset that is taken: what the layouts, the plots and the metadata are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.dataset.model import DatasetImage


class Digests(NamedTuple):
    fingerprint: str
    content_fingerprint: str


@dataclass(frozen=True, slots=True)
class ValidatedDataset:
    """A dataset that is taken. `left_out`: how many images were skipped for their errors, or for having no class.

    `splits`: image path -> split; `groups`: sha256 of an image -> name of the group that looks like it; `manifest`:
    the file that the fingerprint is the sha256 of.
    """

    kind: str
    format: str
    images: list[DatasetImage]
    classes: list[str]
    splits: dict[str, str]
    groups: Mapping[str, str]
    digests: Digests
    manifest: Path
    findings: list[Finding]
    left_out: int
