"""The kinds of operations: of each the module with its `work`. A module is imported when the first one comes."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from core.db.tables import OperationRow
from core.domain.errors import OperationFailed
from worker.tasks.attempt import Attempt

Work = Callable[[Attempt[OperationRow], OperationRow], dict[str, Any] | None]
# `work(attempt, operation)` returns the result, JSON that answers show, and may raise what `run_attempt` handles and
# `ChildKilled`. It returns None where it has ended the row itself, with `complete_in` beside what it wrote.
KINDS: dict[str, str] = {
    "evaluate": "worker.tasks.operations.evaluate",
    "export": "worker.tasks.operations.export",
    "predict-batch": "worker.tasks.operations.predict_batch",
    "purge": "worker.tasks.operations.purge",
    "export-dataset": "worker.tasks.operations.export_dataset",
    "bundle": "worker.tasks.operations.bundle",
    "image-index": "worker.tasks.operations.image_index",
    "freeze-test-set": "worker.tasks.operations.freeze",
    "import-version": "worker.tasks.operations.import_version",
}


def work_of(kind: str) -> Work:
    """Raises OperationFailed for a kind that this version does not know."""
    if kind not in KINDS:
        raise OperationFailed(f"This worker knows no operation {kind}. Is it an older version than the API?", kind=kind)
    work: Work = import_module(KINDS[kind]).work
    return work
