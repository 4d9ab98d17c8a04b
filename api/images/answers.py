"""An evaluation image by image: computed by a child, kept beside the image indexes."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from api.images.index_cache import IndexCache
from api.images.results_child import fetch_results, run_on_results
from core.db.tables import EvaluationArtifactRow, EvaluationRow
from core.services.context import Platform
from core.services.models.evaluations import find_evaluation_artifact
from core.storage import ObjectStore
from pipeline.evaluation.read_answers import ANSWERS_VERSION, PREDICTIONS_FILE
from pipeline.evaluation.read_paired import RESULTS_FILE

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
        wanted = {Path(folder, artifact.name): artifact for artifact in artifacts}
        fetch_results(store, wanted)
        about = Path(folder, "thresholds.json")
        about.write_text(thresholds, encoding="utf-8")
        doing = "Reading the evaluation image by image"
        run_on_results("list-answers", [*wanted, about], target, doing=doing, service="evaluation")
