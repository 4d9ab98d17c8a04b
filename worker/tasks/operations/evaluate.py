"""Evaluating a version or an export on a dataset: fetch -> child: predict, compare, report -> store -> publish."""

import json
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from core.db.tables import OperationRow
from core.domain.keys import evaluation_key
from core.domain.limits import CLASSES_LISTED
from core.services.models.evaluation_inputs import EvaluationInputs, evaluation_inputs
from core.services.models.evaluations import publish_evaluation
from core.storage.free_space import require_free
from pipeline.process.results import Evaluated
from pipeline.process.specs import EvaluateSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.image_index import fetch_index
from worker.tasks.operations.inputs import fetch_artifacts, fetch_dataset, fetch_object
from worker.tasks.store_artifacts import STORING, put_files


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the evaluation. Raises OperationFailed, OutOfSpace, what the child reports."""
    inputs = evaluation_inputs(attempt.db, operation.params)
    spec = _spec(attempt, operation.params, inputs)
    evaluated = in_child(attempt, spec, Evaluated)
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    artifacts = put_files(attempt, spec.out / "artifacts", partial(evaluation_key, claim.id, claim.attempt))
    attempt.lease.raise_if_stopped()
    attempt.report_surely(stage="publishing")
    row = attempt.lease.retry_until_lost(
        lambda: publish_evaluation(attempt.db, claim, metrics=_for_answers(evaluated.metrics), artifacts=artifacts)
    )
    attempt.log.info("evaluation.published", evaluation_id=row.id, split=row.split)


def _spec(attempt: Attempt[OperationRow], params: dict[str, Any], inputs: EvaluationInputs) -> EvaluateSpec:
    model = _fetched_model(attempt, inputs)
    indexes: dict[str, Path] = {}
    for dataset in filter(None, (inputs.dataset, *(each.dataset for each in inputs.trained_on.sets))):
        if dataset.fingerprint not in indexes and (path := fetch_index(attempt, dataset)) is not None:
            indexes[dataset.fingerprint] = path
    trained = [each for each in inputs.trained_on.sets if each.dataset.fingerprint in indexes]
    return EvaluateSpec(
        out=attempt.scratch / "out",
        model=model,
        trainer=None if inputs.export else inputs.trainer,
        name=params["name"],
        thresholds=inputs.thresholds,
        dataset=fetch_dataset(attempt, params["fingerprint"]),
        dataset_name=params["dataset"],
        split=params["split"],
        index=indexes.get(params["fingerprint"]),
        trained_on=tuple(indexes[each.dataset.fingerprint] for each in trained),
        trained_on_names=tuple(each.name for each in trained),
        trained_on_known=inputs.trained_on.is_known and len(trained) == len(inputs.trained_on.sets),
        memory_bytes=attempt.platform.settings.operation_memory_bytes,
    )


def _fetched_model(attempt: Attempt[OperationRow], inputs: EvaluationInputs) -> Path:
    """A folder of artifacts, or the file of an export."""
    export = inputs.export
    if export is None:
        return fetch_artifacts(attempt, inputs.artifacts, attempt.scratch / "version", room_times=2)
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, 2 * export.bytes, reserve_bytes=reserve_bytes)
    target = attempt.scratch / export.file_name
    return fetch_object(attempt, export.key, target, sha256=export.sha256, called="the export")


def _for_answers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of more than CLASSES_LISTED classes the first: evaluation.json has all. None in place of the numbers that JSON
    lacks: PostgreSQL refuses them."""
    finite: dict[str, Any] = json.loads(json.dumps(metrics), parse_constant=lambda _: None)
    for name in ("classes", "thresholds"):
        if isinstance(finite.get(name), dict):
            finite[name] = {key: _first(value) for key, value in finite[name].items()}
    return finite


def _first(values: Any) -> Any:
    if isinstance(values, dict):
        return dict(islice(values.items(), CLASSES_LISTED))
    return values[:CLASSES_LISTED] if isinstance(values, list) else values
