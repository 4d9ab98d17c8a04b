"""The environment of a child process that decodes users' bytes: without credentials."""

import os
from collections.abc import Mapping
from pathlib import Path

import pipeline

SECRET_PREFIXES = ("DARKROOM_", "AWS_", "MLFLOW_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PG")
_ROOT = Path(pipeline.__file__).resolve().parents[1]


def child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Returns `given` without Darkroom's settings and credentials, and with `pipeline` importable from any folder."""
    kept = {name: value for name, value in given.items() if not name.startswith(SECRET_PREFIXES)}
    paths = [str(_ROOT), *filter(None, [given.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
