"""Small JSON artifacts, read from the store for a page."""

import json
from typing import Any

from core.domain.errors import ArtifactNotFound, Unavailable
from core.services.context import Platform
from core.services.models.evaluations import find_evaluation_artifact
from core.storage import ObjectMissing

MOST_BYTES = 32_000_000  # metrics.json of 1,000 classes has a matrix of 5 MB


def evaluation_json(platform: Platform, evaluation_id: str, name: str) -> dict[str, Any]:
    """An artifact of an evaluation; empty where it has none. Raises Unavailable."""
    try:
        artifact = find_evaluation_artifact(platform.db, evaluation_id, name)
    except ArtifactNotFound:
        return {}
    return stored_json(platform, artifact.key, artifact.bytes)


def stored_json(platform: Platform, key: str, size: int) -> dict[str, Any]:
    """Raises Unavailable."""
    if size > MOST_BYTES:
        return {}
    try:
        found: dict[str, Any] = json.loads(b"".join(platform.store.open(key)))
    except ObjectMissing as error:
        raise Unavailable("An artifact is missing from the object store.", service="store") from error
    return found
