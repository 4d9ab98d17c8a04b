"""An evaluation image by image: computed by a child, kept beside the image indexes."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from api.images.index_cache import IndexCache
from core.db.tables import EvaluationArtifactRow, EvaluationRow
from core.domain.errors import Unavailable
from core.services.context import Platform
from core.services.models.evaluations import find_evaluation_artifact
from core.storage import ObjectCorrupt, ObjectMissing, ObjectStore
from pipeline.evaluation.read_answers import ANSWERS_VERSION, PREDICTIONS_FILE
from pipeline.evaluation.read_paired import RESULTS_FILE
from pipeline.process.environment import child_environment

_SECONDS = 130.0  # the child ends itself before
_UNPACKED = 8  # times the size of its files it takes on the disk, at most


def answers_file(platform: Platform, cache: IndexCache, evaluation: EvaluationRow) -> Path:
    """What `pipeline.evaluation.read_answers` reads, computed where it was not before.

    Raises ArtifactNotFound for an evaluation that was made before its results were kept, OutOfSpace, Unavailable.
    """
    names = (RESULTS_FILE, PREDICTIONS_FILE)
    artifacts = [find_evaluation_artifact(platform.db, evaluation.id, name) for name in names]
    thresholds = json.dumps(evaluation.metrics.get("thresholds") or {"all": 0.25, "classes": {}}, sort_keys=True)
    digests = "/".join((str(ANSWERS_VERSION), *(each.sha256 for each in artifacts), thresholds))
    name = f"answers-{hashlib.sha256(digests.encode()).hexdigest()[:40]}.sqlite"
    size = sum(each.bytes for each in artifacts)
    compute = partial(_compute, platform.store, artifacts, thresholds)
    return cache.computed(name, compute, most_bytes=_UNPACKED * size + 2**20)


def _compute(store: ObjectStore, artifacts: Sequence[EvaluationArtifactRow], thresholds: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".", suffix=".part") as folder:
        files = [Path(folder, artifact.name) for artifact in artifacts]
        for artifact, file in zip(artifacts, files, strict=True):
            try:
                store.fetch(artifact.key, file)
            except (ObjectMissing, ObjectCorrupt) as error:
                detail = "The results of the evaluation are missing or damaged in the object store."
                raise Unavailable(detail, service="store") from error
        about = Path(folder, "thresholds.json")
        about.write_text(thresholds, encoding="utf-8")
        _run([*files, about], target)


def _run(files: Sequence[Path], target: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "list-answers", *map(str, files), "--out", str(target)]
    settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": _SECONDS}
    environment = child_environment(os.environ) | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        subprocess.run(command, check=True, env=environment, start_new_session=True, **settings)
    except subprocess.TimeoutExpired as error:
        detail = f"Reading the evaluation image by image took more than {_SECONDS:g} seconds."
        raise Unavailable(detail, service="evaluation") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1][:300]
        raise Unavailable(f"The evaluation could not be read image by image: {last}", service="evaluation") from error
