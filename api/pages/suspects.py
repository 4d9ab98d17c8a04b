"""Suspect labels of a dataset: what the newest version that was trained on it found."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from core.db.tables import JobRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.models.versions import artifacts_of, list_versions
from core.storage import ObjectMissing, ObjectStore

_ARTIFACT = "suspect_labels.json"
_VERSIONS_READ = 10
MOST = 2000
_READ_KEPT = 16


class Suspect(NamedTuple):
    """`score`: the lead of the suggested class over the label, -1 to 1."""

    rank: int
    suggested: str
    score: float


class SuspectLabels(NamedTuple):
    """`images`: the flagged ones by path, most suspect first, the first MOST."""

    version: str
    images: Mapping[str, Suspect]


_read: dict[str, Mapping[str, Suspect]] = {}


def suspects_of(platform: Platform, job: JobRow) -> SuspectLabels | None:
    """None where no version has searched for them. Raises Unavailable where the store lacks the file."""
    if job.kind != "classification" or not job.last_version:
        return None
    versions = list_versions(platform.db, cursor=None, limit=_VERSIONS_READ, ref=job.id, whole=False).items
    artifacts = artifacts_of(platform.db, [version.id for version in versions])
    for version in versions:
        for each in artifacts[version.id]:
            if each.name == _ARTIFACT:
                return SuspectLabels(f"v{version.number}", _flagged(platform.store, each.key))
    return None


def _flagged(store: ObjectStore, key: str) -> Mapping[str, Suspect]:
    """An object never changes, so it is read once."""
    if (known := _read.get(key)) is not None:
        return known
    try:
        labels = json.loads(b"".join(store.open(key)))["labels"]
    except ObjectMissing as error:
        detail = "The suspect labels are missing from the object store."
        raise Unavailable(detail, service="store") from error
    flagged = [label for label in labels if label["flagged"] == "yes"][:MOST]
    found = {each["path"]: Suspect(n, each["suggested"], each["score"]) for n, each in enumerate(flagged, 1)}
    if len(_read) >= _READ_KEPT:
        _read.clear()
    _read[key] = found
    return found
