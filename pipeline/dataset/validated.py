"""A validated dataset: the input of the layouts, the plots and the metadata."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from core.domain.findings import Finding
from pipeline.dataset.model import DatasetImage


def _is_there(_: DatasetImage) -> None:
    return None


class Digests(NamedTuple):
    fingerprint: str
    content_fingerprint: str


@dataclass(frozen=True, slots=True)
class ValidatedDataset:
    """A dataset that was accepted. `left_out`: number of images skipped because of errors or a missing class, or as
    they match a frozen test image; `exclusions`: the {generation, sha256, images} of the last, None where none was
    compared.

    `splits`: image path -> split; `groups`: sha256 of an image -> name of its group of near-duplicates; `manifest`:
    the file whose sha256 is the fingerprint. `wait_for`: returns once the bytes of an image can be read, where the
    archive is still being written; it raises what ends the preparation.
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
    exclusions: Mapping[str, Any] | None = None
    wait_for: Callable[[DatasetImage], None] = _is_there
